"""Changes to bytes, drawn from a seeded generator, for where no coverage guides."""

import random
from collections.abc import Callable, Sequence

SIZE_MAX = 1 << 16
_CHANGES_MAX = 6
_EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_WIDE_EDGES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x10000, 1 << 24)


def mutated(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of `corpus`, changed in a few places; at most `SIZE_MAX` bytes."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, _CHANGES_MAX)):
        rng.choice(_CHANGES)(rng, data, corpus)
    return bytes(data[:SIZE_MAX])


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _byte(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((*_EDGES, rng.randrange(256)))


def _wide(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A 32-bit number that is at an edge, as sizes and times are read."""
    at = rng.randrange(len(data) + 1)
    data[at : at + 4] = rng.choice(_WIDE_EDGES).to_bytes(4, "big")


def _digits(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A number as text, as playlists and URLs have them."""
    numbers = (b"-1", b"0", b"1e999", b"nan", b"9" * 40, b"1.5", b"", b"0x10", b"\xd9\xa3")
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        at = rng.choice(places)
        data[at : at + 1] = rng.choice(numbers)


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 2, 4, 16, 188, len(data)))]


def _insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))


def _repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    piece = data[at : at + rng.choice((1, 4, 32, 188, 512))]
    data[at:at] = piece * rng.choice((1, 2, 40))


def _splice(rng: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    other = rng.choice(corpus)
    at, start = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    data[at : at + rng.choice((0, 16, 400))] = other[start : start + rng.choice((8, 64, 400))]


_CHANGES: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    *(_flip, _byte, _byte, _wide, _digits, _cut, _insert, _repeat, _splice),
)
