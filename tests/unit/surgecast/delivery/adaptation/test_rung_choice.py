"""Rungs of whole channels, as caps and the egress budget of the server move (bar 2)."""

from surgecast.clock import ManualClock
from surgecast.delivery.adaptation.ceiling import Drained
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.sessions.histories import Session
from surgecast.delivery.settings import AdaptationSettings, EgressSettings, SessionSettings
from tests.support.shows import RUNGS, segment_set, window

RATES_BPS = {"720p": 4_000_000, "480p": 2_000_000, "360p": 1_000_000}


class Server:
    """One origin with channels whose viewers take exactly what they are given."""

    def __init__(self, capacity_bps: int | None = None, channels: int = 1) -> None:
        self.clock = ManualClock()
        egress = EgressSettings(capacity_bps=capacity_bps, utilisation_target=1.0)
        self.directory = Directory(self.clock, egress=egress)
        self.stages = [self._channel(f"channel{number}") for number in range(channels)]
        self.index_plays = 0
        self.gone: set[str] = set()
        for _ in range(6):
            self.step()

    def _channel(self, name: str) -> Stage:
        return self.directory.add(
            name, window(), sessions=SessionSettings(), adaptation=AdaptationSettings()
        )

    def step(self) -> None:
        """Every channel shows a segment, and every viewer fetches it."""
        for stage in self.stages:
            msn = stage.window.next_msn
            coming = segment_set(msn)
            payloads = {rung: bytes(rate // 4) for rung, rate in RATES_BPS.items()}
            stage.publish(type(coming)(**{**_fields(coming), "payloads": payloads}))
            if stage.window.ready:
                self._watch(stage)
        self.clock.advance(2.0)

    def _watch(self, stage: Stage) -> None:
        tally = self.directory.tallies.of("segment", f"{stage.name}/720p")
        for viewer in list(stage.urls.viewers):
            if viewer.session not in self.gone:
                stage.urls.viewers.see(viewer, self.clock.now(), plays=True)
        for found in stage.sessions:
            if found.session in self.gone:
                continue
            assert stage.sessions.playlist(found.session) is not None
            tally.bytes_out += RATES_BPS[found.rung] // 4
        for found in stage.variants:
            plays = RUNGS[max(self.index_plays, RUNGS.index(found.rung))]
            assert stage.variants.playlist(found.session, RUNGS[self.index_plays]) is not None
            tally.bytes_out += RATES_BPS[plays] // 4

    def join(self, count: int, *, index: bool = False, channel: int = 0) -> None:
        stage = self.stages[channel]
        for _ in range(count):
            name = f"{'index' if index else 'adaptive'}{stage.session_count}"
            (stage.segment_sessions.create_index if index else stage.create_session)(name)

    def see_links(self, rate_bps: float, channel: int = 0) -> None:
        """Everybody there has taken a segment at that rate."""
        stage, now = self.stages[channel], self.clock.now()
        for viewer in stage.urls.viewers:
            viewer.ceiling.sample(now, Drained(int(rate_bps), 8.0, 0.02, None))
            stage.urls.heed(viewer, viewer.ceiling.bps(now))

    def rungs(self, *, index: bool = False, channel: int = 0) -> list[int]:
        stage = self.stages[channel]
        found: list[Session] = list(stage.variants if index else stage.sessions)
        return [sum(s.rung == rung for s in found) for rung in RUNGS]

    @property
    def given_bps(self) -> float:
        """By the rungs of the newest segment."""
        return sum(RATES_BPS[r] * n for r, n in zip(RUNGS, self.rungs(), strict=True))

    @property
    def egress_bps(self) -> float:
        return self.directory.governor.egress_bps


def _fields(segments: object) -> dict[str, object]:
    names = ("msn", "epoch", "start_utc", "duration_s", "discontinuity", "slate")
    return {name: getattr(segments, name) for name in names}


def test_a_cap_by_api_holds_for_everybody_from_the_next_segment_on() -> None:
    server = Server()
    server.join(20)
    server.join(20, index=True)
    assert server.stages[0].set_rung_cap("480p") == 6
    server.step()
    assert server.rungs() == server.rungs(index=True) == [0, 20, 0]
    assert server.stages[0].rung_cap == "480p"
    server.join(1)
    assert server.rungs() == [0, 21, 0]
    server.stages[0].set_rung_cap(None)
    for _ in range(3):
        server.step()
    assert server.rungs() == [21, 0, 0] and server.rungs(index=True) == [20, 0, 0]


def test_of_all_caps_the_lowest_counts_and_directives_are_by_channel() -> None:
    server = Server(channels=2)
    server.join(3)
    server.join(3, channel=1)
    server.stages[0].set_rung_cap("480p")
    server.directory.rung_caps = {"channel0": "360p", "channel1": "no such rung"}
    server.step()
    assert server.rungs() == [0, 0, 3] and server.rungs(channel=1) == [3, 0, 0]
    server.directory.rung_caps = {}
    for _ in range(3):
        server.step()
    assert server.rungs() == [0, 3, 0]


def test_a_crowd_over_several_channels_stays_within_the_budget() -> None:
    server = Server(capacity_bps=100_000_000, channels=2)
    for _ in range(10):
        server.join(3)
        server.join(3, channel=1)
        server.step()
    for _ in range(3):
        server.step()
    assert 85e6 < server.egress_bps <= 100e6
    assert server.directory.governor.account("channel0").over_budget_segments == 0


def test_a_directive_lowers_everybody_within_two_segments_and_lets_go() -> None:
    server = Server()
    server.join(50)
    server.step()
    server.directory.egress_budget_bps = 80e6
    server.step()
    assert server.given_bps <= 80e6
    server.step()
    assert server.given_bps <= 80e6
    server.directory.egress_budget_bps = None
    for _ in range(9):
        server.step()
    assert server.rungs() == [50, 0, 0]


def test_viewers_who_choose_for_themselves_are_capped_when_that_is_what_it_takes() -> None:
    server = Server(capacity_bps=100_000_000)
    server.join(30, index=True)
    for _ in range(4):
        server.step()
    assert server.egress_bps <= 100e6
    high, middle, _ = server.rungs(index=True)
    assert middle > 0 and high + middle == 30


def test_viewers_who_play_less_than_they_may_are_left_alone() -> None:
    server = Server(capacity_bps=100_000_000)
    server.index_plays = 1
    server.join(20, index=True)
    for _ in range(4):
        server.step()
    assert server.rungs(index=True) == [20, 0, 0]
    assert server.stages[0].rungs.sessions_by_rung() == {"720p": 0, "480p": 20, "360p": 0}


def test_what_players_are_told_is_the_cap_or_what_most_of_them_have() -> None:
    server = Server(capacity_bps=100_000_000)
    choice = server.stages[0].rungs
    top = choice.advice("a")
    assert top.share_bps is None and not top.overloaded
    server.join(40)
    server.step()
    pressed = choice.advice("a")
    assert pressed.most_bps < top.most_bps
    assert pressed.share_bps is not None and 2e6 < pressed.share_bps <= 2.5e6
    server.stages[0].set_rung_cap("360p")
    assert choice.advice("a").most_bps < pressed.most_bps


def test_what_the_silent_had_is_there_for_the_others_before_they_are_forgotten() -> None:
    server = Server(capacity_bps=50_000_000)
    server.join(40)
    for _ in range(4):
        server.step()
    assert server.rungs()[0] < 10
    server.gone = {found.session for found in server.stages[0].sessions if found.session[-1] != "0"}
    for _ in range(14):
        server.step()
    left = [found for found in server.stages[0].sessions if found.session not in server.gone]
    assert len(left) == 4 and server.stages[0].viewers == 40
    assert {found.rung for found in left} == {"720p"}


def test_newcomers_begin_with_what_those_who_are_here_can_use() -> None:
    server = Server()
    server.join(5)
    server.see_links(2.4e6)
    server.join(1)
    assert server.rungs() == [5, 1, 0], "those who are there get it with the next segment"
    server.join(1, index=True)
    assert server.rungs(index=True) == [1, 0, 0], "who chooses for himself may have all"
    server.step()
    assert server.rungs() == [0, 6, 0]


def test_what_an_operator_asks_for_says_nothing_of_connections() -> None:
    server = Server()
    server.join(5)
    server.stages[0].set_rung_of_all("360p")
    server.step()
    server.join(1)
    assert server.rungs() == [1, 0, 5]


def test_where_nobody_was_seen_the_manager_tells_what_viewers_elsewhere_can_use() -> None:
    server = Server(channels=2)
    region = server.directory.neighbours.own.region
    server.directory.fleet_usable = {"channel0": {region: [0, 0, 40], "elsewhere": [40, 0, 0]}}
    server.join(1)
    server.join(1, channel=1)
    assert server.rungs() == [0, 0, 1] and server.rungs(channel=1) == [1, 0, 0]
    server.directory.fleet_usable = {}
    server.join(1)
    assert server.rungs() == [1, 0, 1]
