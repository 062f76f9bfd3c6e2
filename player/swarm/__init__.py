"""`surgecast swarm`: thousands of light viewers in one process, and one report of what it
was like."""
