"""Shared ground of every surgecast process.

Holds what two or more roles need: the HLS format, the live window, HTTP delivery,
configuration, clocks, logs, metrics and supervision. It imports none of the roles.
"""
