"""The digital twin: the production decisions run under a manual clock.

Its place is fixed by the import contracts; nothing stands in it yet.
"""
