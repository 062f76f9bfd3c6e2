"""The origin role: channels and their life, filling the window, the admin API, the demo."""
