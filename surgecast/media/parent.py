"""A low-latency segment from its first part on: what is known of it, its bytes and its lines.

Pure. RFC 8216bis calls it the parent of its parts. It is *open* until it is whole; then its bytes
are put together once, and parts become views of that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from surgecast.errors import LocalError
from surgecast.hls.model import MediaSegment, OpenSegment, Part
from surgecast.hls.render import render_open_segment, render_part, render_segment
from surgecast.media.part import PartSet, part_name
from surgecast.media.remote import Payload, Remote, held, joined

Stored = Payload | memoryview


class Parent:
    """Made of its first part; changed by the window alone.

    `start_s` is where it starts on the window's own count of published seconds, `new_init` says
    that the parent before it has other initialization sections.
    """

    def __init__(self, first: PartSet, rungs: Sequence[str], start_s: float, new_init: bool):
        self.first = replace(first, payloads={})
        """What was said of the first part, without its bytes."""
        self.msn = first.msn
        self.init = first.init
        self.one_init = len(set(first.init.payloads.values())) == 1
        """Whether the same initialization section does for every rung."""
        self.start_s = start_s
        self.new_init = new_init
        self.duration_s = 0.0
        self.whole = False
        self._rungs = rungs
        self._parts: list[PartSet] = []
        self._facts: list[tuple[float, bool]] = []
        """Of each part, how long it lasts and whether it starts with a key frame."""
        self._lines: dict[tuple[str, str], list[str]] = {}
        """Of the parts, by rung and base, as far as they were asked for."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    def check(self, parts: PartSet) -> None:
        """Raise LocalError where these parts do not belong here."""
        if parts.epoch != self.first.epoch or parts.init != self.init or parts.discontinuity:
            raise LocalError(
                f"part {parts.msn}.{parts.index}: another encoder run needs another segment"
            )

    def add(self, parts: PartSet) -> None:
        self._parts.append(parts)
        self._facts.append((parts.duration_s, parts.independent))
        self.duration_s += parts.duration_s

    @property
    def part_count(self) -> int:
        return len(self._facts)

    def close(self) -> dict[str, tuple[Payload, list[tuple[str, Stored]]]]:
        """It is whole. By rung: its bytes, and its parts' names and places in them."""
        self.whole = True
        joined = {rung: self._join(rung) for rung in self._rungs}
        # The sets themselves would keep the same bytes a second time.
        self._parts = []
        return joined

    def _join(self, rung: str) -> tuple[Payload, list[tuple[str, Stored]]]:
        names = [parts.object_name(rung) for parts in self._parts]
        payloads = [parts.payloads[rung] for parts in self._parts]
        remotes = [payload for payload in payloads if isinstance(payload, Remote)]
        if remotes:
            return joined(remotes), list(zip(names, remotes, strict=True))
        body = b"".join(map(held, payloads))
        views: list[tuple[str, Stored]] = []
        begin = 0
        for name, payload in zip(names, payloads, strict=True):
            views.append((name, memoryview(body)[begin : begin + len(payload)]))
            begin += len(payload)
        return body, views

    def part_names(self) -> Iterator[str]:
        """Of every part, in every rung."""
        for rung in self._rungs:
            for index in range(self.part_count):
                yield self._part_name(rung, index)

    def segment_names(self) -> Iterator[str]:
        yield from map(self.first.parent_name, self._rungs)

    def next_part_name(self, rung: str) -> str:
        """Of the part that comes next while the encoder lives."""
        if self.whole:
            return part_name(rung, self.first.epoch, self.msn + 1, 0)
        return self._part_name(rung, self.part_count)

    def _part_name(self, rung: str, index: int) -> str:
        return part_name(rung, self.first.epoch, self.msn, index)

    def text(
        self, rung: str, *, leads: bool, with_parts: bool, base: str = "", map_uri: str = ""
    ) -> str:
        """Its lines in a playlist from which `base` leads to the rung's objects.

        The parent that leads a playlist names its initialization section: `map_uri`, or the
        rung's own.
        """
        init = map_uri or base + base_name(self.init.object_name(rung))
        head = OpenSegment(
            parts=(),
            program_date_time=self.first.program_date_time,
            discontinuity=self.first.discontinuity,
            map_uri=init if leads or self.new_init else None,
        )
        lines = self._part_lines(rung, base) if with_parts else []
        end = ""
        if self.whole:
            uri = base + base_name(self.first.parent_name(rung))
            end = render_segment(MediaSegment(uri, self.duration_s))
        return "".join((render_open_segment(head), *lines, end))

    def _part_lines(self, rung: str, base: str) -> list[str]:
        lines = self._lines.setdefault((rung, base), [])
        for index in range(len(lines), self.part_count):
            duration_s, independent = self._facts[index]
            uri = base + base_name(self._part_name(rung, index))
            lines.append(render_part(Part(uri, duration_s, independent=independent)))
        return lines


def base_name(path: str) -> str:
    """Relative to the playlist of the same rung."""
    return path.rpartition("/")[2]
