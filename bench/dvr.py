"""Whether a DVR of two hours holds still once it is full, and what its playlist costs.

Segments of three rungs are archived without waiting: two hours listed, two more on disk, two hours
beyond that. Payloads are small (`--set-bytes`), as none of them may stay in memory anyway; the
playlist is asked for, with and without `?start=`, every 20 segments.

    python -m bench.dvr [--hours 2] [--set-bytes 6000] [--json]

Flat means: resident memory stays within 5 MB from the moment the archive is full.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from surgecast.clock import ManualClock
from surgecast.delivery.assets import Asset
from surgecast.delivery.channels import Tallies
from surgecast.delivery.past.rewind import Rewind
from surgecast.media.archive import Archive, DvrSettings
from surgecast.media.ledger import Ledger
from surgecast.media.segment import Rendition, SegmentSet

BAR_BYTES = 5_000_000
_SEGMENT_S = 2.0
_RUNGS = ("720p", "480p", "240p")


def rss_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def renditions() -> tuple[Rendition, ...]:
    codecs = "avc1.4d401f,mp4a.40.2"
    return tuple(Rendition(n, 16, 16, Fraction(25), 3000, 2000, codecs) for n in _RUNGS)


def segment_set(msn: int, size_bytes: int, utc: float) -> SegmentSet:
    payload = bytes(size_bytes // len(_RUNGS))
    payloads = dict.fromkeys(_RUNGS, payload)
    return SegmentSet(msn, "mwqagrew", utc, _SEGMENT_S, msn % 900 == 1, False, payloads)


async def ask(rewind: Rewind, query: str) -> Asset:
    found = await rewind.ask("/live/a/720p/media.m3u8", query)
    assert isinstance(found, Asset)
    return found


async def measure(folder: Path, hours: float, set_bytes: int) -> dict[str, float]:
    settings = DvrSettings(enabled=True, window_s=3600 * hours)
    clock = ManualClock()
    archive = Archive(folder / "dvr", settings, Ledger(folder, folder))
    archive.open(renditions(), 2)
    rewind = Rewind(clock, Tallies().of, lambda _: None)
    rewind.archives["a"] = archive
    writing = asyncio.create_task(archive.run())
    await archive.ready.wait()
    per_window = round(3600 * hours / _SEGMENT_S)
    levels, publish_s, playlist_s, body_bytes = [], [], [], 0
    for msn in range(3 * per_window):
        segments = segment_set(msn, set_bytes, clock.utc())
        clock.advance(_SEGMENT_S)
        began = time.perf_counter()
        archive.accept(segments)
        publish_s.append(time.perf_counter() - began)
        if msn % 20 == 0:
            await archive.flush()
        if msn % 20 == 0 and msn > 100:
            began = time.perf_counter()
            body_bytes = len((await ask(rewind, "dvr=1")).body)
            playlist_s.append(time.perf_counter() - began)
            await ask(rewind, "start=2027-01-15T08:00:00Z")
        if msn > 2 * per_window + per_window // 50 and msn % (per_window // 50) == 0:
            levels.append(rss_bytes())
    await archive.flush()
    on_disk = sum(1 for _ in (folder / "dvr").glob("*/*.set"))
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    tail = per_window // 2
    early = sorted(publish_s[tail : 2 * tail])[tail // 2]
    late = sorted(publish_s[-tail:])[tail // 2]
    return {
        "sets_on_disk": on_disk,
        "rss_full_bytes": levels[0],
        "rss_spread_bytes": max(levels) - min(levels),
        "playlist_bytes": body_bytes,
        "playlist_ms_median": 1000 * sorted(playlist_s[-200:])[len(playlist_s[-200:]) // 2],
        "publish_us_early": 1e6 * early,
        "publish_us_full": 1e6 * late,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--set-bytes", type=int, default=6000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(measure(Path(name), args.hours, args.set_bytes))
    flat = found["rss_spread_bytes"] <= BAR_BYTES
    for key, value in found.items():
        if not args.json:
            print(f"{key:22} {value:,.1f}")
    if args.json:
        print(json.dumps({**found, "flat": flat}))
    else:
        print(f"{'flat within 5 MB':22} {'yes' if flat else 'NO'}")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
