"""`python -m traffic_manager` is `surgecast manager`."""

import sys

from surgecast.cli import main

raise SystemExit(main(["manager", *sys.argv[1:]]))
