"""The origin role: channels and their life, filling the window from a segmenter or from what
workers push, recordings, the admin API."""
