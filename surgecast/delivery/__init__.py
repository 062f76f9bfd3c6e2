"""Serving a window over HTTP: playlists, segments, sessions and the switch of their rung.

Written once for origin and relay, which differ only in how their window is filled.
"""
