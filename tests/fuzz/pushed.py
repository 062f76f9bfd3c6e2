"""Targets that read what encoders push to an origin over HTTP."""

from dataclasses import replace
from functools import cache

from segmenter.cutter import CutSegment, Pes
from segmenter.encoder import CutSet
from segmenter.remote.wire import outgoing_part, outgoing_set, read_part, read_set
from segmenter.ts import seal
from surgecast.errors import LocalError, RemoteError
from tests.fuzz.target import Target, refused
from tests.support.cut_sets import GRID, LADDER, cut_parts, cut_sets

_LOW = LADDER.only(["low"])
_START = 126_000


@cache
def _packets() -> bytes:
    return cut_sets(1, start=_START, rungs=("low",))[0].segments["low"].packets


def _objects() -> list[bytes]:
    """Heads that can be told from their payloads: these are mutated as they are."""
    whole = outgoing_set(1, cut_sets(1, start=_START, rungs=("low",))[0])
    parts = cut_parts(20)
    low = [
        replace(part, parts={"low": part.parts["low"]}, inits={"low": part.inits["low"]})
        for part in parts
    ]
    return [whole.encode(0.5), *(outgoing_part(1, part, relieves=True).encode(0.0) for part in low)]


def pushed(data: bytes) -> str:
    """Any bytes are a set, a part, or refused in words."""
    said = []
    try:
        read_set(data, _LOW)
        said.append("set")
    except RemoteError as error:
        said.append(refused(error))
    try:
        read_part(data, _LOW, GRID, {})
        said.append("part")
    except RemoteError as error:
        said.append(refused(error))
    return " ".join(said)


def pushed_packets(data: bytes) -> str:
    """Packets under a digest that is true: whatever is let in can be sealed, or is told why not."""
    segment = CutSegment(_START, 180_000, (Pes(True, _START, data),))
    body = outgoing_set(1, CutSet(_START, {"low": segment})).encode(0.0)
    try:
        sealed = seal(read_set(body, _LOW).cut.segments["low"].packets, 90_000, 7)
    except (RemoteError, LocalError) as error:
        return refused(error)
    assert len(sealed) % 188 == 0
    return "sealed"


TARGETS = (
    Target("pushed", _objects, pushed),
    Target("pushed_packets", lambda: [_packets()], pushed_packets),
)
