"""What is no longer live: rewind, shows that ended, segments sent from a disk."""
