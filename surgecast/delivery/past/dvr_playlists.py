"""Long playlists of archived shows: made of pieces that are rendered and compressed once. Pure.

A playlist of two hours has 3,600 segments and is asked for every two seconds. So a publish renders
one segment's lines; a request joins pieces of up to 128 segments that were rendered before, and
their deflate blocks, which can be joined as well (RFC 1951 section 3.2.3). All rungs have the same
lines: a URI is relative to its rung.
"""

import zlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from surgecast.errors import RemoteError
from surgecast.hls.model import MediaSegment, Start
from surgecast.hls.render import format_date_time, render_media_header, render_segment
from surgecast.media.catalog import LISTED_MIN, Show

PIECE_SEGMENTS = 128
_PIECES_MAX = 1024
"""Whole pieces, about 13 kB each and some more compressed: 72 h of segments of 2 s."""
_EDGES_MAX = 16
"""Pieces at the two ends of a list, which are others with every publish."""
_TEXTS_MAX = 8
_TEXTS_BYTES_MAX = 8_000_000
"""Of whole playlists; the newest is kept whatever its size."""

_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class DvrText:
    """A playlist with a tag that names this version of it."""

    body: bytes
    zipped: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a show a playlist lists: from here to the end, or to where it grows."""

    first_number: int
    start: Start | None = None
    vod: bool = False


class DvrPlaylists:
    """Renders playlists of shows and remembers what will be asked for again."""

    def __init__(self) -> None:
        self._pieces: OrderedDict[tuple[Show, int, int, int], tuple[bytes, bytes]] = OrderedDict()
        self._edges: OrderedDict[tuple[Show, int, int, int], tuple[bytes, bytes]] = OrderedDict()
        self._texts: OrderedDict[tuple[Show, Cut, int, bool, int], DvrText] = OrderedDict()
        self.pieces_rendered = 0

    def text(self, show: Show, cut: Cut) -> DvrText:
        """The playlist; it must list something."""
        entries = show.entries
        end_number = entries[len(entries) - 1].number + 1
        key = (show, cut, end_number, show.open, len(show.lost))
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = self._make(show, cut, end_number)
            fits = max(1, min(_TEXTS_MAX, _TEXTS_BYTES_MAX // len(text.body)))
            _bound(self._texts, fits)
        return text

    def _make(self, show: Show, cut: Cut, end_number: int) -> DvrText:
        first = show.entries[show.entries.at_number(cut.first_number)]
        head = render_media_header(
            target_duration_s=show.target_duration_s,
            media_sequence=first.number,
            discontinuity_sequence=first.discontinuity_number - first.discontinuity,
            playlist_type="VOD" if cut.vod else None,
            start=cut.start,
        )
        foot = "" if show.open else "#EXT-X-ENDLIST\n"
        pieces = [self._piece(show, *span) for span in _spans(first.number, end_number)]
        body = b"".join([head.encode(), *(text for text, _ in pieces), foot.encode()])
        blocks = [_deflated(head.encode()), *(block for _, block in pieces)]
        tail = zlib.crc32(body).to_bytes(4, "little") + (len(body) % (1 << 32)).to_bytes(
            4, "little"
        )
        zipped = b"".join([_GZIP_HEAD, *blocks, _deflated(foot.encode()), _LAST_BLOCK, tail])
        newest = show.entries[len(show.entries) - 1]
        etag = f"{newest.epoch}-{newest.msn}-{first.number}-{zlib.crc32(body):08x}"
        return DvrText(body, zipped, etag)

    def _piece(self, show: Show, first_number: int, end_number: int) -> tuple[bytes, bytes]:
        key = (show, first_number, end_number, len(show.lost))
        whole = end_number - first_number == PIECE_SEGMENTS
        pieces = self._pieces if whole else self._edges
        piece = pieces.get(key)
        if piece is None:
            text = _lines(show, first_number, end_number).encode()
            piece = pieces[key] = (text, _deflated(text))
            self.pieces_rendered += 1
            _bound(pieces, _PIECES_MAX if whole else _EDGES_MAX)
        else:
            pieces.move_to_end(key)
        return piece


def place(show: Show, at: datetime | None) -> Cut:
    """Where a playlist of an open or ended show begins.

    Without `at` with everything that is listed. With it, at the segment shown then, or at the
    beginning where that is later; but with enough segments to play (rule R22).
    """
    entries, listed_from = show.entries, show.listed_from
    if at is None:
        return Cut(show.first_listed)
    utc = at.timestamp()
    position = max(entries.at_utc(utc), listed_from)
    if entries[position].end_utc <= utc and position + 1 < len(entries):
        position += 1  # nothing was archived at that time
    begin = max(listed_from, min(position, len(entries) - LISTED_MIN))
    offset_s = sum(entries[i].duration_s for i in range(begin, position))
    offset_s += min(max(0.0, utc - entries[position].start_utc), entries[position].duration_s)
    if show.open:  # not within three target durations of the end (RFC 8216 section 4.3.5.2)
        listed_s = offset_s + sum(entries[i].duration_s for i in range(position, len(entries)))
        listed_s -= min(max(0.0, utc - entries[position].start_utc), entries[position].duration_s)
        offset_s = max(0.0, min(offset_s, listed_s - 3 * show.target_duration_s))
    return Cut(entries[begin].number, Start(round(offset_s, 3), precise=True))


def parse_start(value: str, show: Show, now_utc: float) -> datetime:
    """`start=` of a query. Raises RemoteError that says what is allowed."""
    entries = show.entries
    first = entries[show.listed_from].program_date_time
    last_utc = entries[len(entries) - 1].end_utc
    allowed = (
        f"allowed is a time with its zone, such as {format_date_time(first)}, which is where the "
        "archive begins, up to now"
    )
    try:
        # A plus sign that a client did not encode has become a space.
        at = datetime.fromisoformat(value.strip().replace(" ", "+"))
    except ValueError as error:
        raise RemoteError(f"start={value!r} is no ISO 8601 time; {allowed}") from error
    if at.tzinfo is None:
        raise RemoteError(f"start={value!r} has no time zone; {allowed}")
    if at.timestamp() > max(last_utc, now_utc if show.open else 0.0):
        raise RemoteError(f"start={value!r} is in the future; {allowed}")
    return at


def _spans(first_number: int, end_number: int) -> list[tuple[int, int]]:
    """Cut so that pieces stay the same while the list grows and loses its head."""
    edges = range(first_number - first_number % PIECE_SEGMENTS, end_number, PIECE_SEGMENTS)
    return [(max(e, first_number), min(e + PIECE_SEGMENTS, end_number)) for e in edges]


def _lines(show: Show, first_number: int, end_number: int) -> str:
    entries = show.entries
    position = entries.at_number(first_number)
    whole = position == 0 or _is_before(show, position)
    lines = []
    for at in range(position, len(entries)):
        entry = entries[at]
        if entry.number >= end_number:
            break
        if entry.number in show.lost:
            whole = False
            continue
        lines.append(
            render_segment(
                MediaSegment(
                    uri=f"{entry.epoch}-{entry.msn}.ts",
                    duration_s=entry.duration_s,
                    program_date_time=entry.program_date_time,
                    discontinuity=entry.discontinuity or not whole,
                )
            )
        )
        whole = at + 1 >= len(entries) or entries[at + 1].number == entry.number + 1
    return "".join(lines)


def _is_before(show: Show, position: int) -> bool:
    """Whether the entry before `position` is there and directly precedes it, or is unlisted."""
    before, entry = show.entries[position - 1], show.entries[position]
    if entry.number == show.first_listed:
        return True
    return before.number == entry.number - 1 and before.number not in show.lost


def _deflated(text: bytes) -> bytes:
    """Whole deflate blocks, ending on a byte, none of them the last and none that looks back."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)


def _bound(cache: OrderedDict, size_max: int) -> None:  # type: ignore[type-arg]
    while len(cache) > size_max:
        cache.popitem(last=False)
