"""What a transcode will cost: models behind one interface, their calibration by what was measured,
and the store that keeps their versions."""
