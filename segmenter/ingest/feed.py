"""Where a pushed source's bytes come from: one face for RTMP, SRT and UDP.

A feed waits for publishers and hands out one connection after another; what is in the bytes is
for FFmpeg to find out. See `segmenter.ingest.rtmp_listener` and `segmenter.ingest.child_feed`.
"""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

Form = Literal["flv", "mpegts"]


class Connection(Protocol):
    """One publisher, from its first byte to its last.

    Iteration yields chunks of any size and ends when the publisher does; RemoteError says that it
    broke a rule or fell silent. Not iterating holds the publisher back.
    """

    @property
    def peer(self) -> str:
        """Who publishes, for the log; never holds a key."""
        ...

    @property
    def form(self) -> Form: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def restart(self) -> None:
        """The consumer starts afresh: the next chunk is one that a new decoder can begin with."""
        ...

    def rewind(self, played_s: float) -> float:
        """Another consumer goes on where the last one had played `played_s`.

        Returns how much it must skip of what comes: the next chunk starts with a key frame at or
        before that place. Where none is kept, as `restart`.
        """
        ...

    def rejoin(self, back_s: float) -> None:
        """Another consumer begins, with the key frame that was sent `back_s` ago or just before.

        The next chunk is one that a new decoder can begin with. Where none is kept, as `restart`.
        """
        ...

    async def close(self) -> None:
        """Let go of the publisher; may be called twice."""
        ...


class Feed(Protocol):
    """A source that is pushed to us."""

    async def next_connection(self) -> Connection:
        """Wait for the next publisher. Raises RemoteError where waiting cannot go on."""
        ...

    async def close(self) -> None:
        """Stop waiting for publishers and end the present one; may be called twice."""
        ...
