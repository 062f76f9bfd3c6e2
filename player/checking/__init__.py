"""`surgecast check`: a live stream watched from outside, against the rules of HLS."""
