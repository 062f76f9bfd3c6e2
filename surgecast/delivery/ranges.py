"""The Range header of RFC 9110 section 14.2, single byte ranges only. Pure."""

import re
from collections.abc import Sequence

UNSATISFIABLE = (-1, -1)

# More digits than any object has bytes are not worth turning into a number.
_SINGLE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


def parse_range(values: Sequence[str], size: int) -> tuple[int, int] | None:
    """`bytes=0-99` -> `(0, 100)`: first byte, and the one after the last.

    None for what may be ignored (nothing, several ranges, not understood), `UNSATISFIABLE` for a
    range that lies outside of `size` bytes.
    """
    match = _SINGLE.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        return (size - length, size) if length else UNSATISFIABLE
    first = int(match[1])
    last = int(match[2]) if match[2] else size - 1
    if last < first and match[2]:
        return None
    return UNSATISFIABLE if first >= size else (first, min(last + 1, size))
