"""Which rung a session gets: caps, the server's egress budget, and what a viewer's line
carries."""
