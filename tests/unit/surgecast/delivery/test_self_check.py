"""A channel that checks itself: what is right is silent, what is wrong is told, nothing is held."""

import logging
from collections.abc import AsyncIterator

import pytest

from surgecast.clock import ManualClock
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.self_check import SHARE_MAX, STORE_S, Budget, rung_in_turn
from surgecast.delivery.self_checker import LOGGED_EVERY_S, WARNED_FOR_S, SelfChecker
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.hls.rulebook import Look
from surgecast.metrics import Metrics
from tests.support import real_sets
from tests.support.fragments import PART_S, PARTS
from tests.support.transport_stream import DURATION_S


class Watched:
    """A channel `demo` that is watched, on a manual clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.checker = SelfChecker(self.clock)
        self.stage: Stage = Directory(self.clock).add(
            "demo",
            real_sets.window(),
            sessions=SessionSettings(),
            adaptation=AdaptationSettings(),
            low_latency=real_sets.low_latency_window(),
        )
        self.checker.watch(self.stage)
        self.metrics = Metrics()
        self.checker.show(self.metrics)

    async def segment(self, msn: int, **changes: object) -> None:
        self.clock.advance(DURATION_S)
        self.stage.publish(real_sets.segment_set(msn, **changes))
        await self.checker.settled()

    async def part(self, number: int, **changes: object) -> None:
        self.clock.advance(PART_S)
        self.stage.publish_part(real_sets.part_set(*divmod(number, PARTS), **changes))
        await self.checker.settled()

    def count(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.metrics.render().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    await watched.checker.close()


async def test_right_segments(watched: Watched) -> None:
    for msn in range(12):
        await watched.segment(msn)
    assert watched.checker.warnings() == []
    looks = watched.checker._watched["demo"].plain.looks
    assert looks[Look.MEDIA] == 20, "two rungs, from the third segment on"
    assert looks[Look.SEGMENT] == 10 and looks[Look.SEQUEL] == 5
    assert looks[Look.VARIANTS] == 10


async def test_right_parts(watched: Watched) -> None:
    for number in range(14 * PARTS):
        await watched.part(number)
    assert watched.checker.warnings() == []
    looks = watched.checker._watched["demo"].parts.looks
    assert looks[Look.LOW_LATENCY] == looks[Look.PART] == 11 * PARTS + 1
    assert looks[Look.REPORT] == looks[Look.LOW_LATENCY]
    assert looks[Look.DELTA] >= 4


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("R9", {"skipped_counter": True}),
        ("R12", {"reordered": True}),
        ("R15", {"idr": False}),
        ("R14", {"sdt": True}),
    ],
)
async def test_wrong_segments(watched: Watched, rule: str, changes: dict[str, object]) -> None:
    for msn in range(6):
        await watched.segment(msn, **changes)
    assert f"breaks {rule} (" in watched.checker.warnings()[0]
    assert watched.count(f'surgecast_self_check_findings_total{{channel="demo",rule="{rule}"}}') > 1


@pytest.mark.parametrize(
    ("rule", "changes"), [("R12", {"reordered": True}), ("R15", {"idr": False})]
)
async def test_wrong_parts(watched: Watched, rule: str, changes: dict[str, object]) -> None:
    for number in range(5 * PARTS):
        await watched.part(number, **changes)
    assert f"breaks {rule} (" in watched.checker.warnings()[0]


async def test_a_publication_that_comes_late(watched: Watched) -> None:
    """R21."""
    for msn in range(4):
        await watched.segment(msn)
    watched.clock.advance(5.0)
    await watched.segment(4)
    assert "breaks R21 (2 x)" in watched.checker.warnings()[0], "once for each rung"


async def test_a_rule_is_logged_now_and_then(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "surgecast.self_check"):
        for msn in range(8):
            await watched.segment(msn, sdt=True)
        assert len(caplog.records) == 1
        watched.clock.advance(LOGGED_EVERY_S)
        await watched.segment(8, sdt=True)
    told = [record for record in caplog.records if record.surgecast_fields["rule"] == "R14"]  # type: ignore[attr-defined]
    assert [record.surgecast_fields["untold"] for record in told] == [0, 5]  # type: ignore[attr-defined]
    assert told[0].surgecast_fields["url"] == "/live/demo/180p/e0-2.ts"  # type: ignore[attr-defined]


async def test_a_finding_is_forgotten_by_readyz(watched: Watched) -> None:
    for msn in range(4):
        await watched.segment(msn, sdt=msn == 2)
    assert watched.checker.warnings()
    watched.clock.advance(WARNED_FOR_S)
    assert watched.checker.warnings() == []


async def test_what_there_is_no_time_for_goes_unseen(watched: Watched) -> None:
    watched.checker._budget.worked(STORE_S + 1.0)
    for msn in range(4):
        await watched.segment(msn)
    assert watched.count("surgecast_self_check_unseen_total") == 4
    assert watched.count("surgecast_self_check_looks_total") == 0
    watched.clock.advance(1.0 / SHARE_MAX)
    await watched.segment(4)
    assert watched.count("surgecast_self_check_looks_total") > 0
    assert watched.count("surgecast_self_check_cpu_seconds_total") > STORE_S + 1.0


async def test_a_fault_in_the_check_itself_touches_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(shown: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(watched.checker._watched["demo"].plain, "look", fail)
    for msn in range(5):
        await watched.segment(msn)
    assert watched.stage.segments_published == 5
    assert {record.message for record in caplog.records} == {"self check failed"}


async def test_a_channel_that_was_taken_off(watched: Watched) -> None:
    watched.checker.forget("demo")
    watched.stage.publish(real_sets.segment_set(0, sdt=True))
    assert watched.checker.warnings() == []


def test_each_rung_has_its_turn_twice() -> None:
    turns = [rung_in_turn(("a", "b"), number) for number in range(6)]
    assert turns == ["a", "a", "b", "b", "a", "a"]


def test_the_budget_is_a_share_of_a_core() -> None:
    """Work that takes long is paid for by a long rest; little work never rests."""
    budget, now, done = Budget(), 0.0, 0
    for _ in range(10_000):
        now += 0.01
        if budget.due(now):
            budget.worked(0.05)
            done += 1
    assert budget.used_s == pytest.approx(0.05 * done)
    assert budget.used_s <= STORE_S + SHARE_MAX * now + 0.05
    assert budget.used_s >= 0.9 * SHARE_MAX * now
