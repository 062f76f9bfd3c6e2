"""The relay role: a temporary server that re-streams what it pulls from an origin.

Its place is fixed by the import contracts; nothing stands in it yet.
"""
