"""What low latency costs on top of plain HLS: CPU of the origin process and of its encoder.

The same channel, four rungs at 25 frames a second, is run without and with low latency in turn,
nobody watching. Printed are shares of a core (user and system, from the kernel) and the median of
the differences of the pairs.

    python -m bench.low_latency [--rounds 5] [--seconds 20] [--json]
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from bench.encoding import run_origin

BAR = 0.03
_ON = ", low_latency: {enabled: true}"


def shares(seconds: float, more: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        return run_origin(Path(folder), seconds, more)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    more_origin, more_encoder = [], []
    for number in range(args.rounds):
        # Who begins changes, so that what a machine does over time falls on both alike.
        order = ("", _ON) if number % 2 == 0 else (_ON, "")
        found = {more: shares(args.seconds, more) for more in order}
        (plain, plain_encoder), (parts, parts_encoder) = found[""], found[_ON]
        more_origin.append(parts - plain)
        more_encoder.append(parts_encoder / plain_encoder)
        print(
            f"round {number + 1}: origin {plain:.4f} plain, {parts:.4f} low latency;"
            f" encoder {plain_encoder:.3f}, {parts_encoder:.3f}",
            flush=True,
        )
    python, encoder = statistics.median(more_origin), statistics.median(more_encoder)
    print(f"origin process: {python:+.2%} of a core for low latency (bar {BAR:.0%})")
    print(f"encoder: {encoder:.3f}x, one encode for both")
    if args.json:
        print(json.dumps({"origin_share_more": python, "encoder_ratio": encoder}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
