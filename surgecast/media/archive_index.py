"""The lines of an archive's index file: what was archived, written down as it happens. Pure.

Each line is a checksum and a JSON value. A line that is cut off by a kill, or that somebody
damaged, is left out; the lines around it hold by themselves. A line is one of

    [number, msn, epoch, start, duration, flags, discontinuity number, [sizes], first listed]
    {"ladder": [...], "target_duration_s": 2}     what follows is another show
    {"end": "20260101-120000"}                    the show has ended, and has this name
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from surgecast.media.catalog import Entry, Show
from surgecast.media.segment import Rendition


def entry_line(entry: Entry, first_listed: int) -> bytes:
    flags = entry.discontinuity | entry.slate << 1
    sizes = list(entry.sizes)
    head = [entry.number, entry.msn, entry.epoch, entry.start_utc, entry.duration_s]
    return _line([*head, flags, entry.discontinuity_number, sizes, first_listed])


def ladder_line(show: Show) -> bytes:
    ladder = [
        {**asdict(rendition), "frame_rate": str(rendition.frame_rate)}
        for rendition in show.renditions
    ]
    return _line({"ladder": ladder, "target_duration_s": show.target_duration_s})


def end_line(show: Show) -> bytes:
    return _line({"end": show.name})


def show_lines(show: Show) -> Iterator[bytes]:
    """All that is to be known of a show."""
    yield ladder_line(show)
    for entry in show.entries:
        yield entry_line(entry, show.first_listed)
    if not show.open:
        yield end_line(show)


def read_shows(content: bytes) -> tuple[list[Show], int, int]:
    """The shows, how many lines cannot be used, and how many bytes the whole lines take."""
    shows: list[Show] = []
    unusable = 0
    whole_bytes = content.rfind(b"\n") + 1
    for line in content[:whole_bytes].splitlines():
        try:
            _take(shows, _value(line))
        except (ValueError, KeyError, TypeError, IndexError):
            unusable += 1
    return shows, unusable + (whole_bytes < len(content)), whole_bytes


def _take(shows: list[Show], value: Any) -> None:
    if isinstance(value, dict) and "ladder" in value:
        renditions = [_rendition(entry) for entry in value["ladder"]]
        shows.append(Show(renditions, int(value["target_duration_s"])))
    elif isinstance(value, dict):
        shows[-1].name = str(value["end"])
    else:
        number, msn, epoch, start, duration, flags, tags, sizes, first_listed = value
        show = shows[-1]
        if not show.open:
            raise ValueError("a set after the end")
        entries = show.entries
        if len(entries) and (last := entries[len(entries) - 1]):
            if number <= last.number or msn <= last.msn:
                raise ValueError("numbers go back")
            if number != last.number + 1:  # a line between is gone: a list has no holes
                show.unlist_before(number)
        sizes = tuple(map(int, sizes))
        flagged = bool(flags & 1), bool(flags & 2)
        show.append(Entry(number, msn, epoch, start, duration, *flagged, tags, sizes))
        show.unlist_before(first_listed)


def _rendition(values: dict[str, Any]) -> Rendition:
    return Rendition(**{**values, "frame_rate": Fraction(values["frame_rate"])})


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _value(line: bytes) -> Any:
    crc, _, text = line.partition(b" ")
    if int(crc, 16) != zlib.crc32(text):
        raise ValueError("checksum")
    return json.loads(text)
