import pytest

from surgecast.delivery.sessions.shows import SegmentShow
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.settings import AdaptationSettings
from surgecast.media.window import Window
from tests.support.shows import segment_set, window


class Viewing:
    """A window and its sessions, stepped by hand."""

    def __init__(self, **adaptation: object) -> None:
        self.window: Window = window()
        self.table = SessionTable(
            SegmentShow(self.window),
            AdaptationSettings.model_validate(adaptation),
        )
        for _ in range(6):
            self.publish()

    def publish(self, discontinuity: bool = False) -> None:
        coming = segment_set(self.window.next_msn, discontinuity=discontinuity)
        self.table.fix(coming.msn, discontinuity=discontinuity)
        self.window.publish(coming)

    def lines(self, session: str = "a") -> list[str]:
        text = self.table.playlist(session)
        assert text is not None
        return text.body.decode().splitlines()

    def rungs(self, session: str = "a") -> list[str]:
        return [line.split("/")[2] for line in self.lines(session) if line.endswith(".ts")]

    def sequence(self) -> int:
        name = "#EXT-X-DISCONTINUITY-SEQUENCE:"
        return next(int(line[len(name) :]) for line in self.lines() if line.startswith(name))

    def tags(self) -> int:
        return self.lines().count("#EXT-X-DISCONTINUITY")


def test_a_switch_starts_at_the_first_set_nobody_has_seen() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    before = viewing.lines()
    viewing.table.set_rung("a", "360p")
    assert viewing.lines() == before
    viewing.publish()
    assert viewing.rungs() == ["720p"] * 5 + ["360p"] and viewing.tags() == 1


def test_a_later_wish_replaces_an_earlier_one() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    viewing.table.set_rung("a", "360p")
    viewing.table.set_rung("a", "720p")
    viewing.publish()
    assert viewing.tags() == 0


def test_the_tag_is_counted_when_it_leaves() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    viewing.table.set_rung("a", "360p")
    seen = []
    for _ in range(8):
        viewing.publish()
        seen.append((viewing.tags(), viewing.sequence()))
    assert seen == [(1, 0)] * 6 + [(0, 1)] * 2


def test_a_channel_discontinuity_and_a_switch_share_one_tag() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    viewing.table.set_rung("a", "360p")
    viewing.publish(discontinuity=True)
    assert viewing.tags() == 1
    for _ in range(6):
        viewing.publish()
    assert viewing.sequence() == 1


def test_equal_playlists_are_rendered_once() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    viewing.publish()
    viewing.table.create("b")
    assert viewing.table.playlist("a") is viewing.table.playlist("b")


def test_no_signal_means_no_tag() -> None:
    viewing = Viewing(switch_signal="none")
    viewing.table.create("a")
    viewing.table.set_rung("a", "360p")
    viewing.publish()
    assert viewing.rungs()[-1] == "360p" and viewing.tags() == 0


def test_a_cap_lowers_at_once_and_is_left_a_rung_at_a_time() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    viewing.table.set_cap(2)
    viewing.publish()
    viewing.table.set_cap(0)
    for _ in range(6):
        viewing.publish()
    assert viewing.rungs() == ["360p"] * 2 + ["480p"] * 3 + ["720p"]


def test_a_slow_connection_lowers_one_session_alone_until_it_is_fast() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    viewing.table.create("b")
    viewing.table.set_ceiling("a", 1)
    viewing.publish()
    assert (viewing.rungs("a")[-1], viewing.rungs("b")[-1]) == ("480p", "720p")
    viewing.table.set_ceiling("a", 0)
    for _ in range(3):
        viewing.publish()
    assert viewing.rungs("a")[-1] == "720p"


def test_alike_sessions_are_one_claim_and_a_part_of_them_can_be_granted() -> None:
    viewing = Viewing()
    for name in ("a", "b", "c"):
        viewing.table.create(name)
    (claim,) = viewing.table.claims(viewing.window.next_msn)
    assert (claim.situation.held, claim.best, claim.sessions) == (0, 0, 3)
    coming = segment_set(viewing.window.next_msn)
    records = viewing.table.fix(coming.msn, discontinuity=False, shares=[(claim, (1, 2, 0))])
    viewing.window.publish(coming)
    assert len(records) == 2
    assert sorted(viewing.rungs(name)[-1] for name in "abc") == ["480p", "480p", "720p"]
    claims = viewing.table.claims(viewing.window.next_msn)
    assert {(c.situation.held, c.best, c.sessions) for c in claims} == {(0, 0, 1), (1, 1, 2)}


def test_who_comes_has_the_rung_there_is_room_for() -> None:
    viewing = Viewing()
    viewing.table.admit = lambda best: max(best, 2)
    assert viewing.table.create("a").rung == "360p"


def test_a_wish_does_not_wait() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    for rung in ("360p", "720p", "480p"):
        viewing.table.set_rung("a", rung)
        viewing.publish()
    assert viewing.rungs()[-3:] == ["360p", "720p", "480p"]


def test_a_wish_above_the_cap_waits_for_the_cap() -> None:
    viewing = Viewing(start_rung="360p")
    viewing.table.create("a")
    viewing.table.set_cap(1)
    viewing.table.set_rung("a", "720p")
    viewing.publish()
    assert viewing.rungs()[-1] == "480p"
    viewing.table.set_cap(0)
    for _ in range(3):
        viewing.publish()
    assert viewing.rungs()[-1] == "720p"


def test_unknown_names_are_refused() -> None:
    viewing = Viewing()
    viewing.table.create("a")
    with pytest.raises(ValueError, match="ladder has 720p, 480p, 360p"):
        viewing.table.set_rung("a", "4k")
    with pytest.raises(KeyError):
        viewing.table.set_rung("b", "360p")
    assert viewing.table.playlist("b") is None


@pytest.mark.parametrize("later", range(9))
def test_sessions_come_back_as_they_were(later: int) -> None:
    viewing = Viewing()
    viewing.table.create("a")
    for rung in ("360p", "480p"):
        viewing.table.set_rung("a", rung)
        viewing.publish()
    for _ in range(later):
        viewing.publish()
    again = SessionTable(SegmentShow(viewing.window), AdaptationSettings())
    again.restore(viewing.table.records())
    text = again.playlist("a")
    assert text is not None and text.body.decode().splitlines() == viewing.lines()


def test_a_switch_that_was_never_listed_is_made_anew() -> None:
    viewing = Viewing()
    created = viewing.table.create("a")
    viewing.table.set_rung("a", "360p")
    switches = viewing.table.fix(6, discontinuity=False)
    again = SessionTable(SegmentShow(viewing.window), AdaptationSettings())
    again.restore([created, *switches])
    viewing.table = again
    viewing.publish(discontinuity=True)
    assert viewing.rungs()[-1] == "360p" and viewing.tags() == 1


def test_a_newcomer_begins_with_what_the_connections_of_the_region_carry() -> None:
    viewing = Viewing()
    viewing.table.likely = lambda region: 2 if region == "east" else 0
    assert viewing.table.create("a", "east").rung == "360p"
    assert viewing.table.create("b", "west").rung == "720p"


def test_who_was_believed_to_be_slow_rises_as_after_a_switch() -> None:
    viewing = Viewing(switch_spacing_segments=2)
    viewing.table.likely = lambda region: 2
    viewing.table.create("a", "east")
    for _ in range(5):
        viewing.publish()
    assert viewing.rungs()[-5:] == ["360p", "360p", "480p", "480p", "720p"]
