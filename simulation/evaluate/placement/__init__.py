"""The placement experiment: the same arrivals for every policy, on real FFmpeg tasks under CPU
quotas or on a simulator calibrated by them; precision is always told together with task-minutes."""
