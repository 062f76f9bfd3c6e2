"""The low-latency half of a channel on show: which URL names what, and who waits for what.

Rules R36 to R46. Playlists are rendered when somebody asks, once for each part, and the part that
is hinted has a URL already: whoever asks for it waits until it is whole.
"""

from collections.abc import Callable
from functools import partial

from surgecast.clock import Clock
from surgecast.delivery.assets import MP4_TYPE, PLAYLIST_TYPE, Asset, Refusal, Reply, Tallies
from surgecast.delivery.reload import parse_directives
from surgecast.delivery.shelf import Asked, Shelf
from surgecast.delivery.waiting import Turnstile, Wait, WaitingRoom
from surgecast.errors import RemoteError
from surgecast.media.low_latency_window import LowLatencyWindow, Publication
from surgecast.media.parent import base_name
from surgecast.media.window import PlaylistText

_PATIENCE_TARGET_DURATIONS = 3
_BLOCKING_LIFE_TARGET_DURATIONS = 6
_NOT_YET = Refusal(404, "nothing is on show here yet")
_NEVER = Refusal(404, "the part that was announced never came: load the playlist again")

MULTIVARIANT = "ll.m3u8"


class LowLatencyStage:
    """One channel's low-latency window as viewers see it."""

    def __init__(
        self,
        window: LowLatencyWindow,
        shelf: Shelf,
        tallies: Tallies,
        clock: Clock,
        turnstile: Turnstile,
    ) -> None:
        self.window = window
        self.parts_published = 0
        patience_s = float(_PATIENCE_TARGET_DURATIONS * window.target_duration_s)
        self.room = WaitingRoom(turnstile, clock, patience_s, self._has_come)
        self._shelf = shelf
        self._tallies = tallies
        self._turnstile = turnstile
        self._hinted: dict[str, str] = {}
        self._playlists: dict[tuple[str, bool, bool], tuple[PlaylistText, Asset]] = {}
        self._multivariant: tuple[int, Asset] | None = None
        max_age_s = max(1, window.target_duration_s // 2)
        blocking_max_age_s = _BLOCKING_LIFE_TARGET_DURATIONS * window.target_duration_s
        self._lives: dict[bool, Callable[[], str]] = {
            False: lambda: f"max-age={max_age_s}",
            True: lambda: f"max-age={blocking_max_age_s}",
        }
        shelf.put(MULTIVARIANT, Asked(self._ask_multivariant))
        for rung in window.rungs:
            shelf.put(f"ll/{rung}/media.m3u8", Asked(partial(self._ask_media, rung)))
        self._unsubscribe = window.subscribe(self._published)

    def close(self) -> None:
        """The channel is taken off: nobody waits any more."""
        self._unsubscribe()
        self.room.release()

    # What is asked for.

    def _ask_media(self, rung: str, query: str) -> Reply | Wait:
        window = self.window
        if window.ended:  # rule R40
            return self._playlist(rung, delta=False, blocking=False)
        try:
            asked = parse_directives(query)
        except RemoteError as error:
            return Refusal(400, str(error))
        if asked.msn is None:
            return self._playlist(rung, delta=asked.skip, blocking=False)
        if window.too_far(asked.msn, asked.part):
            edge = "nothing" if window.edge is None else "part {}.{}".format(*window.edge)
            return Refusal(400, f"that is too far ahead: {edge} is the newest")
        reply = partial(self._playlist, rung, delta=asked.skip, blocking=True)
        if self._has_come(asked.msn, asked.part):
            return reply()
        return self._wait(asked.msn, asked.part, reply)

    def _ask_hinted(self, msn: int, part: int, name: str, _query: str) -> Reply | Wait:
        return self._wait(msn, part, partial(self._stored, name))

    def _ask_multivariant(self, _query: str) -> Reply:
        if not self.window.ready:
            return _NOT_YET
        made = self._multivariant
        if made is None or made[0] != self.window.next_msn:
            asset = self._playlist_asset(self.window.multivariant(), "multivariant", False)
            made = self._multivariant = (self.window.next_msn, asset)
        return made[1]

    def _wait(self, msn: int, part: int | None, reply: Callable[[], Reply]) -> Reply | Wait:
        if self.room.stalled:
            self._turnstile.turned_away += 1
            return Refusal(503, "nothing was published for too long")
        if self._turnstile.full:
            self._turnstile.turned_away += 1
            return Refusal(503, f"all {self._turnstile.waiters_max} places to wait are taken")
        return Wait(self.room, (msn, part), reply)

    def _has_come(self, msn: int, part: int | None) -> bool:
        return self.window.ready and self.window.reached(msn, part)

    def _playlist(self, rung: str, *, delta: bool, blocking: bool) -> Reply:
        text = self.window.playlist(rung, delta=delta)
        if text is None:
            return _NOT_YET
        made = self._playlists.get((rung, delta, blocking))
        if made is None or made[0] is not text:
            asset = self._playlist_asset(text, "low_latency_playlist", blocking)
            made = self._playlists[rung, delta, blocking] = (text, asset)
        return made[1]

    def _playlist_asset(self, text: PlaylistText, kind: str, blocking: bool) -> Asset:
        return Asset(
            text.body,
            PLAYLIST_TYPE,
            self._lives[blocking],
            self._tallies.of(kind),
            etag=text.etag,
            zipped=text.zipped,
        )

    def _stored(self, name: str) -> Reply:
        found = self._shelf.get(name)
        return found if isinstance(found, Asset) else _NEVER

    # What happens.

    def _published(self, publication: Publication) -> None:
        self.parts_published += publication.parts is not None
        self._playlists.clear()
        for name in (*publication.gone, *self._hinted.values()):
            self._shelf.remove(name)
        for name in publication.added:
            self._open(name)
        self._hinted = self.window.hints
        if self._hinted and (hint := self.window.next_part) is not None:
            for name in self._hinted.values():
                self._shelf.put(name, Asked(partial(self._ask_hinted, *hint, name)))
        self.room.tell()

    def _open(self, name: str) -> None:
        payload = self.window.payload(name)
        assert payload is not None, f"{name} was announced, but is not there"

        def cache_control() -> str:
            return f"public, max-age={int(self.window.life_s(name))}, immutable"

        tally = self._tallies.of(_kind(name))
        etag = name.removeprefix("ll/").replace("/", "-")
        asset = Asset(payload, MP4_TYPE, cache_control, tally, etag=etag, ranged=True)
        self._shelf.put(name, asset)


def _kind(name: str) -> str:
    """`ll/720p/e-1.0.m4s` -> `part`; what metrics count by."""
    if name.endswith(".mp4"):
        return "init"
    return "part" if base_name(name).count(".") == 2 else "low_latency_segment"
