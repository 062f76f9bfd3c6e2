"""`python -m segmenter` is `surgecast segment`."""

import sys

from surgecast.cli import main

raise SystemExit(main(["segment", *sys.argv[1:]]))
