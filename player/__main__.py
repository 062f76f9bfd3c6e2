"""`python -m player URL` is `surgecast play URL`."""

import sys

from surgecast.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["play", *sys.argv[1:]]))
