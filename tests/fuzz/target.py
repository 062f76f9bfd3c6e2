"""What a fuzz target is: where to begin, and what to do with bytes."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from surgecast.errors import SurgecastError

_NUMBER = re.compile(r"[0-9]+|'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True, slots=True)
class Target:
    """`run` gives an outcome in a few words; whatever it raises is a finding.

    An outcome that was not seen before marks its bytes as worth to work on, so it must not repeat
    values of the input: `refused` makes one of an error.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes], str]


def refused(error: SurgecastError) -> str:
    """The outcome of a declared error: its words without its values."""
    return f"{type(error).__name__} {_NUMBER.sub('_', str(error))[:120]}"


def in_pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """What follows a head of cuts, whole and in the pieces the head asks for.

    The first byte is the number of cuts (0 to 7), two bytes each say where they are.
    """
    count = data[0] & 7 if data else 0
    head, rest = data[1 : 1 + 2 * count], data[1 + 2 * count :]
    size = len(rest) + 1
    cuts = sorted(int.from_bytes(head[n : n + 2], "big") % size for n in range(0, len(head), 2))
    return rest, [piece for piece in _between(rest, cuts) if piece]


def _between(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    last = 0
    for cut in (*cuts, len(data)):
        yield data[last:cut]
        last = cut
