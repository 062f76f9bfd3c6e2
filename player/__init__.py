"""The viewer's side: a headless player with a real buffer model, its report, and the web page."""
