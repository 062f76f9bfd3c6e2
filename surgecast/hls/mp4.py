"""Boxes of ISO base media files (ISO/IEC 14496-12), read strictly: sizes that lie are refused.

Only the walk over boxes is here; what is in them is read by those who need it
(`surgecast.hls.cmaf` for checking).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from surgecast.errors import RemoteError

_HEADER_BYTES = 8
_LARGE_HEADER_BYTES = 16
_VERSION_BYTES = 4


@dataclass(frozen=True, slots=True)
class Box:
    """One box. `payload` is a view of the bytes it was found in, nothing is copied."""

    kind: str
    offset: int
    """Of its first byte, from the start of the data given to `boxes`."""
    size_bytes: int
    """Header included."""
    payload: memoryview

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    @property
    def version(self) -> int:
        """Of a full box."""
        return self.number(0, 1)

    @property
    def flags(self) -> int:
        """Of a full box."""
        return self.number(1, 3)

    @property
    def fields(self) -> memoryview:
        """The payload of a full box, past version and flags."""
        return self.payload[_VERSION_BYTES:]

    def number(self, place: int, size_bytes: int) -> int:
        """An unsigned number in the payload. Raises RemoteError where the box is too short."""
        return number(self.payload, place, size_bytes, self.kind)


def number(data: memoryview, place: int, size_bytes: int, kind: str) -> int:
    """An unsigned number at `place`. Raises RemoteError where the box `kind` is too short."""
    if place + size_bytes > len(data):
        raise RemoteError(f"not usable MP4: the box {kind} is cut off")
    return int.from_bytes(data[place : place + size_bytes], "big")


def boxes(data: bytes | memoryview) -> Iterator[Box]:
    """The boxes side by side in `data`, which must end where the last one ends.

    Raises RemoteError where a size is too small for its header or reaches past the end.
    """
    view, place = memoryview(data), 0
    while place < len(view):
        found = _box(view, place)
        yield found
        place = found.end


def _box(view: memoryview, place: int) -> Box:
    size = number(view, place, 4, "header")
    kind = bytes(view[place + 4 : place + 8])
    header = _HEADER_BYTES
    if size == 1:
        size = number(view, place + _HEADER_BYTES, 8, "header")
        header = _LARGE_HEADER_BYTES
    if len(kind) < 4 or not kind.isascii():
        raise RemoteError(f"not MP4: no box at offset {place}")
    name = kind.decode()
    if size < header or place + size > len(view):
        left = len(view) - place
        raise RemoteError(
            f"not usable MP4: the box {name!r} at offset {place} says {size} bytes, {left} are left"
        )
    return Box(name, place, size, view[place + header : place + size])


def child(data: bytes | memoryview, *path: str) -> Box | None:
    """The first box under a path of kinds; None where one of them is missing."""
    found: Box | None = None
    for kind in path:
        inside = data if found is None else found.payload
        found = next((box for box in boxes(inside) if box.kind == kind), None)
        if found is None:
            return None
    return found


def needed(data: bytes | memoryview, *path: str) -> Box:
    """As `child`, and RemoteError where a box is missing."""
    found = child(data, *path)
    if found is None:
        raise RemoteError(f"not usable MP4: no box {'/'.join(path)}")
    return found
