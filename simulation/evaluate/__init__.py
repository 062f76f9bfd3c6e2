"""`surgecast evaluate`: predictors of transcode cost judged on recorded encodes, and policies of
placement judged on real FFmpeg tasks under CPU quotas."""
