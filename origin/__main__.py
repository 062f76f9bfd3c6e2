"""`python -m origin` is `surgecast origin`."""

import sys

from surgecast.cli import main

raise SystemExit(main(["origin", *sys.argv[1:]]))
