"""The relay role: a temporary server that re-streams what it pulls from an origin or a relay.

What is pulled and how is in `upstream`; the process around it, with its life cycle, in `app`.
"""
