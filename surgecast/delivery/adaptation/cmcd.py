"""What players say of themselves: Common Media Client Data (CTA-5004 and 5004-B), rule R55. Pure.

Comes as `CMCD=` in a query, in four headers, or as reports that are posted. Version 1 has plain
values, version 2 has inner lists for the same keys. What is not understood is left out, never an
error: a media request does not fail for it. Nothing here is to be trusted: any client says what
it likes, so no viewer is counted and no rung raised by it alone.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

HEADERS = ("CMCD-Object", "CMCD-Request", "CMCD-Session", "CMCD-Status")
EVENT_TYPE = "application/cmcd"
_TEXT_CHARS_MAX = 4096
_ITEMS_MAX = 64
REPORTS_MAX = 64
"""Lines that are read of one posted body."""

_ITEM = re.compile(
    r"""\s*([A-Za-z*][A-Za-z0-9_.*-]{0,63})            # key
    (?:=(?:"((?:[^"\\]|\\.)*)" | \(([^()]*)\) | ([^,"()]*)))?\s*(?:,|$)""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"\\(.)")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_PARAMETER = re.compile(r"(?:^|&)CMCD=([^&]*)")


@dataclass(frozen=True, slots=True)
class Cmcd:
    """One report; None where it says nothing."""

    session: str | None = None
    """`sid`: whatever the player calls itself."""
    throughput_bps: float | None = None
    """`mtp`: what it measured."""
    buffer_s: float | None = None
    """`bl`: media it has in store."""
    starved: bool = False
    """`bs`: its buffer ran empty since the last request."""
    event: str | None = None
    """`e`, in posted reports."""


def of_query(query: str) -> Cmcd | None:
    """From the query of a request, still encoded."""
    found = _PARAMETER.search(query)
    return None if found is None else parse(unquote(found[1], errors="replace"))


def of_headers(values: Iterable[str]) -> Cmcd | None:
    """From the values of those of the four headers that came."""
    text = ",".join(values)
    return parse(text) if text else None


def of_body(body: bytes) -> list[Cmcd]:
    """From a posted body: a report a line."""
    lines = body.decode("utf-8", "replace").splitlines()
    return [parse(line) for line in lines[:REPORTS_MAX] if line.strip()]


def parse(text: str) -> Cmcd:
    """One report. The first of equal keys counts."""
    values: dict[str, str | bool] = {}
    for key, value in _items(text[:_TEXT_CHARS_MAX]):
        values.setdefault(key, value)
    kilobits, milliseconds = _number(values.get("mtp"), max), _number(values.get("bl"), min)
    return Cmcd(
        session=_name(values.get("sid")),
        throughput_bps=None if kilobits is None else 1000.0 * kilobits,
        buffer_s=None if milliseconds is None else milliseconds / 1000.0,
        starved=values.get("bs") is True,
        event=_name(values.get("e")),
    )


def _items(text: str) -> Iterator[tuple[str, str | bool]]:
    """Keys with their values; a key alone is true. What is not an item is skipped."""
    at = 0
    for _ in range(_ITEMS_MAX):
        found = _ITEM.match(text, at)
        if found is None:
            at = text.find(",", at) + 1
            if at == 0:
                return
            continue
        key, quoted, inner, plain = found.groups()
        if quoted is not None:
            yield key, _QUOTED.sub(r"\1", quoted)
        elif inner is not None or plain is not None:
            value = inner if inner is not None else plain.strip()
            yield key, value != "?0" if value in ("?0", "?1") else value
        else:
            yield key, True
        at = found.end()
        if at >= len(text):
            return


def _number(value: str | bool | None, choose: Callable[[list[float]], float]) -> float | None:
    """`4200`, or one of `(4200;v 900;a)`."""
    if not isinstance(value, str):
        return None
    items = [item.partition(";")[0] for item in value.split()]
    numbers = [float(item) for item in items if _NUMBER.fullmatch(item)]
    return choose(numbers) if numbers else None


def _name(value: str | bool | None) -> str | None:
    return value[:128] if isinstance(value, str) else None
