"""What a transcode will cost before it starts: predictors behind one interface, the prior that is
shipped, calibration and learning by what workers measure, and the store of model versions."""
