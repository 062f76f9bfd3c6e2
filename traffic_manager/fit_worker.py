"""One fit in a process of its own: a pickled `FitJob` on standard input, `Fitted` as JSON on
standard output. Started by `fitting`, and by nobody else: a pickle is only taken from a parent."""

import json
import os
import pickle
import sys

from traffic_manager.forecasting.fits import FitJob

_NICER = 10
"""Streaming and ticks go first."""


def main() -> None:
    os.nice(_NICER)
    job = pickle.load(sys.stdin.buffer)
    if not isinstance(job, FitJob):
        sys.exit(f"expected a FitJob, got {type(job).__name__}")
    fitted = job.run()
    json.dump({"expert": fitted.expert, "state": fitted.state}, sys.stdout)


if __name__ == "__main__":
    main()
