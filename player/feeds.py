"""A media playlist as a viewer follows it: what to load next and when. Pure.

`PlainFeed` takes whole segments and looks again by the clock; `PartFeed` takes parts and lets the
server answer when there is news. A viewer needs to know no more of either than `Feed`.
"""

from typing import Protocol

from player import pace
from player.part_tracker import (
    Kind,
    PartTracker,
    Piece,
    Reload,
    hold_back_s,
    with_directives,
)
from player.tracker import Anomaly, AnomalyKind, Tracker
from surgecast.hls.model import MediaPlaylist

HELD_TARGETS = 3
"""Target durations a server may hold a request before it answers 503 (rule R39)."""
PLAIN_LATENCY_TARGETS = 4.0
"""Three from the live edge, where everybody joins, and one for a segment to be whole."""
LATENCY_PARTS = 2
"""Beyond the hold-back: one to be whole, one for whoever is a little later."""
HEIR_TARGETS = 1.5
"""An heir waits for the next segment."""
HEIR_TARGETS_PARTS = 2.5
"""Or, as parts of the open one were seen, for that after the next."""
PARALLEL_PARTS = 3
"""Downloads at a time. At the live edge there is one; joining takes more."""


class Feed(Protocol):
    """One viewer's place in one stream."""

    parallel: int
    """Downloads at a time."""
    held_s: float
    """How long the server may hold a request for what is not there yet."""

    @property
    def url(self) -> str: ...

    @property
    def ended(self) -> bool: ...

    @property
    def heir_s(self) -> float:
        """How long a server that takes a session over may have to wait for what is new."""
        ...

    @property
    def hint(self) -> str | None:
        """What to ask for before it is listed."""
        ...

    @property
    def reload_at(self) -> float:
        """When to load the playlist again; infinite after its end."""
        ...

    @property
    def common_latency_s(self) -> float | None:
        """A live latency that every viewer of this playlist can keep; None while unknown."""
        ...

    def reload(self, now: float) -> tuple[str, Reload]:
        """The URL to load now, and what it asks for."""
        ...

    def take_playlist(
        self, playlist: MediaPlaylist, asked: Reload, at: float, now: float
    ) -> list[Anomaly]:
        """The answer to `asked`, which was sent `at`. Raises RemoteError where it does not fit."""
        ...

    def put_off(self, until: float) -> None:
        """The playlist could not be had; ask again then."""
        ...

    def forget(self) -> None:
        """What is known may be what is wrong: the next answer comes without conditions."""
        ...

    def take(self) -> Piece | None:
        """The next thing to download."""
        ...

    def switch(self, url: str, now: float) -> None:
        """Go on with another variant."""
        ...

    def move(self, url: str, now: float) -> None:
        """Go on with the same variant on another server."""
        ...


class PlainFeed:
    """Whole segments, three target durations behind the live edge."""

    parallel = 1
    held_s = 0.0
    hint: str | None = None

    def __init__(self, url: str, now: float) -> None:
        self._tracker = Tracker(url)
        self._reload_at = now
        self.target_duration_s = 0.0

    @property
    def url(self) -> str:
        return self._tracker.url

    @property
    def ended(self) -> bool:
        return self._tracker.ended

    @property
    def reload_at(self) -> float:
        return float("inf") if self._tracker.ended else self._reload_at

    @property
    def heir_s(self) -> float:
        return HEIR_TARGETS * self.target_duration_s

    @property
    def common_latency_s(self) -> float | None:
        return PLAIN_LATENCY_TARGETS * self.target_duration_s or None

    def reload(self, now: float) -> tuple[str, Reload]:
        return self.url, Reload(self.url)

    def take_playlist(
        self, playlist: MediaPlaylist, asked: Reload, at: float, now: float
    ) -> list[Anomaly]:
        update = self._tracker.update(playlist, at)
        self._reload_at = update.reload_at
        self.target_duration_s = float(playlist.target_duration_s)
        return list(update.anomalies)

    def put_off(self, until: float) -> None:
        self._reload_at = until

    def forget(self) -> None:
        """There are no conditions here."""

    def take(self) -> Piece | None:
        fetch = self._tracker.take()
        if fetch is None:
            return None
        return Piece(
            Kind.SEGMENT,
            fetch.url,
            fetch.msn,
            duration_s=fetch.duration_s,
            program_date_time=fetch.program_date_time,
        )

    def switch(self, url: str, now: float) -> None:
        if url != self.url:
            self._tracker.switch(url)
            self._reload_at = now

    def move(self, url: str, now: float) -> None:
        if url != self.url:
            self._tracker.move(url)
            self._reload_at = now

    def again_from(self, msn: int, url: str, now: float) -> None:
        """Take segment `msn` and all after it from another variant."""
        self._tracker.again_from(msn, url)
        self._reload_at = now


class PartFeed:
    """Parts at the live edge, with blocking reload, delta updates and hints."""

    parallel = PARALLEL_PARTS

    def __init__(self, url: str, now: float) -> None:
        self._tracker = PartTracker(url)
        self._reload_at = now
        self.held_s = self.target_duration_s = 0.0
        self.news_at = now
        """When the server last said something new."""
        self.part_target_s = 0.0
        self.hold_back_s = 0.0

    @property
    def url(self) -> str:
        return self._tracker.url

    @property
    def ended(self) -> bool:
        return self._tracker.ended

    @property
    def hint(self) -> str | None:
        return self._tracker.hint

    @property
    def reload_at(self) -> float:
        return float("inf") if self._tracker.ended else self._reload_at

    @property
    def heir_s(self) -> float:
        return HEIR_TARGETS_PARTS * self.target_duration_s

    @property
    def common_latency_s(self) -> float | None:
        return self.hold_back_s + LATENCY_PARTS * self.part_target_s or None

    def reload(self, now: float) -> tuple[str, Reload]:
        asked = self._tracker.reload(now)
        return with_directives(asked), asked

    def take_playlist(
        self, playlist: MediaPlaylist, asked: Reload, at: float, now: float
    ) -> list[Anomaly]:
        anomalies = self._tracker.update(playlist, at, asked)
        self.part_target_s = playlist.part_target_s or self.part_target_s
        self.hold_back_s = hold_back_s(playlist)
        self.target_duration_s = float(playlist.target_duration_s)
        self.held_s = HELD_TARGETS * self.target_duration_s
        useless = {AnomalyKind.UNCHANGED, AnomalyKind.STALE}
        if any(anomaly.kind in useless for anomaly in anomalies):
            self._reload_at = now + self.part_target_s / 2
        else:
            self.news_at = self._reload_at = now
        return anomalies

    def put_off(self, until: float) -> None:
        self._reload_at = until

    def forget(self) -> None:
        self._tracker.forget()

    def take(self) -> Piece | None:
        return self._tracker.take()

    def switch(self, url: str, now: float) -> None:
        self._tracker.switch(url)

    def move(self, url: str, now: float) -> None:
        self._tracker.move(url)
        self._reload_at = now

    def wanted_distance_s(self, stalls: int) -> float:
        """How far from the live edge to play."""
        return pace.wanted_distance_s(self.hold_back_s, self.part_target_s, stalls)
