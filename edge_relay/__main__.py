"""`python -m edge_relay` is `surgecast relay`."""

import sys

from surgecast.cli import main

raise SystemExit(main(["relay", *sys.argv[1:]]))
