"""What a client asks of a low-latency playlist in the query of its URL. Pure.

RFC 8216bis section 6.2.5: `_HLS_msn` and `_HLS_part` say what must be there before the answer is
given, `_HLS_skip` that a delta update will do.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from surgecast.errors import RemoteError

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_SKIP = ("YES", "v2")
_FIELDS_MAX = 64


@dataclass(frozen=True, slots=True)
class Directives:
    """`msn` is None where nothing is to be waited for; `part` where a whole segment is."""

    msn: int | None = None
    part: int | None = None
    skip: bool = False


@lru_cache(maxsize=1024)
def parse_directives(query: str) -> Directives:
    """The directives in a query; other fields are ignored.

    Raises RemoteError for a number that is none, one given twice, and a part without a segment
    (rule R36).
    """
    if "HLS" not in query:
        return Directives()
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise RemoteError(f"the query has more than {_FIELDS_MAX} fields") from error
    msn, part = _number(fields, "_HLS_msn"), _number(fields, "_HLS_part")
    if part is not None and msn is None:
        raise RemoteError("_HLS_part needs _HLS_msn: a part belongs to a segment")
    # Any other value is from a future that this server does not know: the whole playlist will do.
    return Directives(msn, part, any(("_HLS_skip", value) in fields for value in _SKIP))


def _number(fields: list[tuple[str, str]], name: str) -> int | None:
    values = [value for field, value in fields if field == name]
    if not values:
        return None
    if len(values) > 1 or _NUMBER.fullmatch(values[0]) is None:
        shown = ", ".join(values)[:60]
        raise RemoteError(f"{name} must be one number from 0, not {shown!r}")
    return int(values[0])
