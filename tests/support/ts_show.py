"""A plain HLS channel with two rungs and a session that switches between them."""

from dataclasses import replace
from functools import lru_cache

from surgecast.hls.model import MediaPlaylist, MediaSegment
from tests.support import transport_stream
from tests.support.show_model import RUNGS, Asked, At, Reply, Show, moment
from tests.support.transport_stream import DURATION_S

WINDOW, KEPT = 6, 15
FIRST_MSN = 20
RESTARTED_MSN = 29
"""A new run of the encoder begins: a discontinuity in all rungs."""
SWITCHED_MSN = 27
"""The session goes from the upper rung to the lower."""


class TsShow(Show):
    """`index.m3u8` and `adaptive.m3u8`; a segment every 2.048 s."""

    def edge_msn(self, now: float) -> int:
        """The newest segment."""
        return FIRST_MSN + WINDOW - 1 + int(now / DURATION_S + 1e-9)

    def object(self, asked: Asked, now: float) -> Reply | None:
        at = At(now, asked.path.partition("/")[0], asked.path, asked.query)
        if asked.path == "index.m3u8":
            return self.multivariant(at)
        if asked.path == "adaptive.m3u8":
            return self._adaptive(at)
        if asked.path == "s/one/media.m3u8":
            return self.media(at, self.session(now), "private, no-store")
        rung, _, name = asked.path.partition("/")
        if rung not in RUNGS:
            return None
        if name == "media.m3u8":
            return self.media(at, self.playlist(now), "max-age=1")
        return self._segment(at, rung, name)

    def _adaptive(self, at: At) -> Reply:
        ladder = self.multivariant(at).body.decode().splitlines()
        head, top = ladder[:3], ladder[-2]
        text = "\n".join([*head, top, "s/one/media.m3u8", ""])
        return self.text(at, text, "private, no-store")

    def playlist(self, now: float) -> MediaPlaylist:
        edge = self.edge_msn(now)
        first = edge - WINDOW + 1
        segments = tuple(map(_entry, range(first, edge + 1)))
        return MediaPlaylist(2, first, int(first > RESTARTED_MSN), segments)

    def session(self, now: float) -> MediaPlaylist:
        plain = self.playlist(now)
        switched = [
            replace(
                segment,
                uri=f"../../{'180p' if msn >= SWITCHED_MSN else '360p'}/{segment.uri}",
                discontinuity=segment.discontinuity or msn == SWITCHED_MSN,
            )
            for msn, segment in enumerate(plain.segments, plain.media_sequence)
        ]
        number = plain.discontinuity_sequence + (plain.media_sequence > SWITCHED_MSN)
        return replace(plain, segments=tuple(switched), discontinuity_sequence=number)

    def _segment(self, at: At, rung: str, name: str) -> Reply | None:
        number = name.rpartition("-")[2].removesuffix(".ts")
        if not number.isdecimal():
            return None
        msn, edge = int(number), self.edge_msn(at.now)
        if not edge - KEPT < msn <= edge:
            return None
        width, height, _ = RUNGS[rung]
        recipe = self.recipe(at, msn, {"msn": msn, "width": width, "height": height})
        return self.bytes(_made(**recipe), "video/mp2t")


def _entry(msn: int) -> MediaSegment:
    return MediaSegment(
        f"7-{msn}.ts",
        DURATION_S,
        moment((msn - FIRST_MSN) * DURATION_S),
        discontinuity=msn == RESTARTED_MSN,
    )


@lru_cache(maxsize=512)
def _made(**recipe: object) -> bytes:
    return transport_stream.segment(**recipe)
