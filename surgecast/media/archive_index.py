"""The lines of an archive's index file: what was archived, written down as it happens. Pure.

Each line is a checksum and a JSON value. A line that is cut off by a kill, or that somebody
damaged, is left out, and so is one whose values no archive has; the lines around it hold by
themselves. A show whose end was left out ends where the next one begins. A line is one of

    [number, msn, epoch, start, duration, flags, discontinuity number, [sizes], first listed]
    {"ladder": [...], "target_duration_s": 2}     what follows is another show
    {"end": "20260101-120000"}                    the show has ended, and has this name
"""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from surgecast.media.catalog import Entry, Show, show_name
from surgecast.media.segment import Rendition

_WHOLE_MAX = 2**53
_SIZE_MAX = 2**32
_UTC_MAX = 250_000_000_000.0
"""In the year 9892: a date must still be one with what lasts added."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FRAME_RATE = re.compile(r"[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?")


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
    for line in content[:whole_bytes].split(b"\n")[:-1]:
        try:
            _take(shows, _value(line))
        except (ValueError, KeyError, TypeError, IndexError):
            unusable += 1
    return shows, unusable + (whole_bytes < len(content)), whole_bytes


def _take(shows: list[Show], value: Any) -> None:
    if isinstance(value, dict) and "ladder" in value:
        show = Show([_rendition(entry) for entry in value["ladder"]], _whole(value, _TARGET))
        if not show.rungs or len(set(show.rungs)) < len(show.rungs):
            raise ValueError("a ladder has rungs, and each once")
        _end_unnamed(shows)
        shows.append(show)
    elif isinstance(value, dict):
        if not shows[-1].open or not len(shows[-1].entries):
            raise ValueError("nothing to end")
        shows[-1].name = _word(value["end"])
    else:
        _append(shows[-1], value)


_TARGET = "target_duration_s"


def _end_unnamed(shows: list[Show]) -> None:
    """The line that ended the last show is gone: it ends all the same, and can be forgotten."""
    if not shows or not shows[-1].open:
        return
    entries = shows[-1].entries
    if len(entries):
        shows[-1].name = show_name(entries[min(shows[-1].listed_from, len(entries) - 1)])
    else:
        shows.pop()


def _append(show: Show, values: list[Any]) -> None:
    if not show.open:
        raise ValueError("a set after the end")
    entry, first_listed = _entry(values)
    if len(entry.sizes) != len(show.rungs):
        raise ValueError("a size for each rung")
    entries = show.entries
    if len(entries) and (last := entries[len(entries) - 1]):
        if entry.number <= last.number or entry.msn <= last.msn:
            raise ValueError("numbers go back")
        if entry.number != last.number + 1:  # a line between is gone: a list has no holes
            show.unlist_before(entry.number)
    show.append(entry)
    show.unlist_before(first_listed)


def _entry(values: list[Any]) -> tuple[Entry, int]:
    """An entry and the oldest number listed beside it. Raises ValueError, TypeError."""
    number, msn, epoch, start, duration, flags, tags, sizes, first_listed = values
    start_utc, duration_s = float(start), float(duration)
    if not (0 <= start_utc <= _UTC_MAX and 0 < duration_s <= 3600):
        raise ValueError("no such time")
    wholes = [_in_range(value) for value in (number, msn, tags, first_listed)]
    flagged = _in_range(flags, 4)
    entry = Entry(
        *(wholes[0], wholes[1], _word(epoch), start_utc, duration_s),
        *(bool(flagged & 1), bool(flagged & 2), wholes[2]),
        tuple(_in_range(size, _SIZE_MAX) for size in sizes),
    )
    return entry, min(wholes[3], entry.number)


def _rendition(values: dict[str, Any]) -> Rendition:
    frame_rate = values["frame_rate"]
    if not isinstance(frame_rate, str) or not _FRAME_RATE.fullmatch(frame_rate):
        raise ValueError("no such frame rate")
    if not isinstance(values["codecs"], str):
        raise TypeError("codecs are a text")
    names = "width", "height", "declared_peak_bps", "declared_average_bps"
    wholes = {name: _whole(values, name) for name in names}
    return Rendition(
        name=_word(values["name"]),
        frame_rate=Fraction(frame_rate),
        codecs=values["codecs"],
        **wholes,
    )


def _whole(values: dict[str, Any], name: str) -> int:
    return _in_range(values[name])


def _in_range(value: Any, end: int = _WHOLE_MAX) -> int:
    if not isinstance(value, int) or not 0 <= value < end:
        raise ValueError("no such number")
    return value


def _word(value: Any) -> str:
    """What is part of a path."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("no such name")
    return value


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _value(line: bytes) -> Any:
    crc, _, text = line.partition(b" ")
    if int(crc, 16) != zlib.crc32(text):
        raise ValueError("checksum")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too deep") from None
