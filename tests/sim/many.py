"""Many seeds at once, with a line for each that fails.

python -m tests.sim.many --seeds 1000 [--first 0] [--processes N]
"""

import argparse
import multiprocessing
import os
import sys
import time

from tests.sim.invariants import check


def tried(seed: int) -> tuple[int, str]:
    """A seed, and what is wrong with it; empty where nothing is."""
    try:
        check(seed)
    except Exception as error:
        return seed, f"{type(error).__name__}: {error}"
    return seed, ""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: list[str] | None = None) -> int:
    """0 where all hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(words)
    began_s = time.monotonic()
    seeds, failed = range(args.first, args.first + args.seeds), 0
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for seed, wrong in pool.imap_unordered(tried, seeds, chunksize=4):
            if wrong:
                failed += 1
                say(f"seed {seed}: {wrong}")
                say(f"    reproduce: python -m tests.sim.many --seeds 1 --first {seed}")
    took_s = time.monotonic() - began_s
    say(f"{args.seeds} seeds, {failed} failed, {took_s:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
