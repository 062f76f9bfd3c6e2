"""One session is one viewer, for as long as it shows signs of life."""

import pytest

from surgecast.delivery.sessions.viewers import OTHER_REGION, SessionsFull, Viewer, Viewers
from surgecast.delivery.settings import SessionSettings


def viewer(session: str, region: str = "north", now: float = 0.0) -> Viewer:
    return Viewer(session, region, "origin", ends_at=1e9, seen_at=now)


def added(viewers: Viewers, *sessions: str) -> list[Viewer]:
    new = [viewer(session) for session in sessions]
    for one in new:
        viewers.add(one)
    return new


def test_the_silent_are_forgotten_and_the_unused_sooner() -> None:
    viewers = Viewers(SessionSettings(sessions_max=3))
    a, *_ = added(viewers, "a", "b", "c")
    with pytest.raises(SessionsFull):
        added(viewers, "d")
    viewers.see(a, 10.0, plays=True)
    assert viewers.playing == 1
    assert [gone.session for gone in viewers.expire(20.0)] == ["b", "c"]
    assert [gone.session for gone in viewers.expire(70.0)] == ["a"] and len(viewers) == 0


def test_a_viewer_counts_once_in_its_region() -> None:
    viewers = Viewers(SessionSettings())
    a, b, c = added(viewers, "a", "b", "c")
    c.region = "south"
    for one in (a, b, c, a, a):
        viewers.see(one, 1.0, plays=True)
    viewers.see(a, 2.0, plays=False)
    assert viewers.by_region == {"north": 2, "south": 1}
    viewers.expire(61.5)
    assert viewers.by_region == {"north": 1}, "b and c were silent for an expiry, a was not"
    viewers.expire(62.5)
    assert viewers.by_region == {} and viewers.created == 3


def test_only_so_many_regions_are_told_apart() -> None:
    """They are whatever unsigned tokens say."""
    viewers = Viewers(SessionSettings())
    for number in range(600):
        one = viewer(f"s{number}", f"r{number}")
        viewers.add(one)
        viewers.see(one, 0.0, plays=True)
    assert len(viewers.by_region) == 501 and viewers.by_region[OTHER_REGION] == 100
