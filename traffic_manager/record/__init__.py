"""What is on record: decisions with their reasons and what came of them, demand, incidents; kept in
a database, followed to a verdict, compared with what a shadow would have done, and told."""
