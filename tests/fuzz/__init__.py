"""Bytes nobody meant, for everything that reads bytes: no crash, no hang, no memory without bound.

`python -m tests.fuzz TARGET --seconds N` works on one target for a time, guided by coverage where
atheris is installed; `make fuzz` does so for all. `make test` runs each briefly with a fixed seed.
"""
