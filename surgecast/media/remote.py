"""A payload that another server has: how long it is, and how to know it when it comes. Pure.

A relay puts the same sets on show as its upstream, in the same windows, before it has their bytes.
What stands in a set then is a `Remote`: as long as the payload, and equal to another where the
payloads are equal, which is all that windows and playlists ask of one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from surgecast.errors import LocalError

DIGEST_BYTES = 16
"""BLAKE2b-128: what comes over a network is mistaken for what was announced by no accident."""


@dataclass(frozen=True, slots=True)
class Remote:
    """`pieces` where it is what several others make in a row: their digests say it all."""

    size_bytes: int
    digest: bytes
    pieces: tuple["Remote", ...] = ()

    def __len__(self) -> int:
        return self.size_bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and (self.size_bytes, self.digest) == (
            other.size_bytes,
            other.digest,
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    def matches(self, body: bytes | memoryview) -> bool:
        """Whether these are the bytes that were announced."""
        if len(body) != self.size_bytes:
            return False
        if not self.pieces:
            return digest_of(body) == self.digest
        view, begin = memoryview(body), 0
        for piece in self.pieces:
            if not piece.matches(view[begin : begin + piece.size_bytes]):
                return False
            begin += piece.size_bytes
        return True


Payload = bytes | Remote
"""What a set has of one rung."""


def digest_of(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


def remote_of(payload: Payload) -> Remote:
    """What to tell of a payload to those who do not have it."""
    if isinstance(payload, Remote):
        return payload
    return Remote(len(payload), digest_of(payload))


def joined(pieces: Sequence[Remote]) -> Remote:
    """What they make in a row."""
    digest = digest_of(b"".join(piece.digest for piece in pieces))
    return Remote(sum(map(len, pieces)), digest, tuple(pieces))


def held(payload: Payload) -> bytes:
    """The bytes of a payload that is surely here. Raises LocalError for one that is not."""
    if isinstance(payload, Remote):
        raise LocalError("the bytes of this payload are on another server")
    return payload


def bytes_held(payload: Payload | memoryview) -> int:
    """What it takes of memory here: views and remote payloads have no bytes of their own."""
    return len(payload) if isinstance(payload, bytes) else 0
