"""`surgecast segment --worker`: a machine that encodes what the manager gives it, within the cores
reserved for each task, and tells how it fares."""
