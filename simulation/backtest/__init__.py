"""Judges forecasters on recorded audiences: what they would have said, against what came."""
