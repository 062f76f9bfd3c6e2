"""Overload: which rung goes, when, and when it comes back. Situation -> decision, then the loop."""

import pytest

from segmenter.ladder import Rung
from segmenter.overload import SAMPLE_S, Decision, Overload, Sample
from segmenter.settings import OverloadSettings
from tests.support.model_encoder import RUNGS, Machine, run

COST = {"1080p": 1.0, "720p": 0.5, "480p": 0.25, "240p": 0.1}
NAMES = tuple(rung.name for rung in RUNGS)


def watch(
    overload: Overload,
    *,
    speed: float,
    seconds: float,
    idle_cores: float = 0.0,
    cores_used: float = 2.0,
    busiest_thread: float = 0.0,
    waiting: float | None = None,
    viewers: dict[str, int] | None = None,
) -> tuple[float, Decision] | None:
    """A new encoder at a steady `speed`: the first decision, and when."""
    overload.began(0.0)
    for number in range(1, round(seconds / SAMPLE_S) + 1):
        now = number * SAMPLE_S
        decision = overload.look(
            Sample(
                now=now,
                media_s=now * speed,
                cpu_s=now * cores_used,
                idle_cores=idle_cores,
                cores=2.0,
                busiest_thread=busiest_thread,
                source_wait_s=None if waiting is None else now * waiting,
            ),
            viewers,
        )
        if decision is not None:
            return now, decision
    return None


def overload(**settings: object) -> Overload:
    return Overload(RUNGS, 25.0, OverloadSettings(**settings))


@pytest.mark.parametrize(
    ("situation", "speed", "extra", "expected"),
    [
        ("at full speed", 1.0, {}, None),
        ("a little slow: the top rung alone", 0.93, {}, ("1080p",)),
        ("slower: still the top rung alone", 0.7, {}, ("1080p",)),
        ("far too slow: as many as the estimate asks for", 0.3, {}, ("1080p", "720p")),
        ("hopeless: all but the lowest", 0.05, {}, ("1080p", "720p", "480p")),
        ("slow, but nobody else needs the machine", 0.7, {"idle_cores": 1.0}, None),
        (
            "slow in one thread of a machine that is idle",
            0.7,
            {"idle_cores": 1.0, "busiest_thread": 0.97},
            ("1080p",),
        ),
        ("a fed source that is late itself", 0.7, {"waiting": 0.6}, None),
        ("a fed source that queues up", 0.7, {"waiting": 0.02}, ("1080p",)),
        ("others load the machine: nothing to win", 0.7, {"cores_used": 0.02}, None),
    ],
)
def test_what_is_shed(
    situation: str, speed: float, extra: dict[str, float], expected: tuple[str, ...] | None
) -> None:
    found = watch(overload(), speed=speed, seconds=30, **extra)
    assert (found and found[1].rungs) == expected, situation
    assert found is None or found[1].kind == "shed"


def test_it_sheds_before_a_player_could_notice() -> None:
    """Half speed is seen while less than half a segment is missing; 0.9 within seconds."""
    at, _ = watch(overload(), speed=0.5, seconds=30) or (99.0, None)
    assert at * 0.5 <= 2.5
    at, _ = watch(overload(), speed=0.9, seconds=30) or (99.0, None)
    assert at * 0.1 <= 1.0


@pytest.mark.parametrize(("speed", "soon_s"), [(0.3, 1.5), (0.6, 1.5), (0.8, 2.5), (0.93, 6.5)])
def test_a_load_that_comes_at_once_is_seen_before_its_segment_is_late(
    speed: float, soon_s: float
) -> None:
    """Rule R21. With time to spare it waited for its source, and now it has none."""
    watched, media_s, waited_s = overload(), 0.0, 0.0
    watched.began(0.0)
    for number in range(1, 120):
        now = number * SAMPLE_S
        loaded = now > 20
        media_s += SAMPLE_S * (speed if loaded else 1.0)
        waited_s += 0.0 if loaded else 0.6 * SAMPLE_S
        sample = Sample(now, media_s, media_s, 0.0, 2.0, source_wait_s=waited_s)
        if (decision := watched.look(sample)) is not None:
            assert 20 < now <= 20 + soon_s, now
            assert decision.speed == pytest.approx(speed, abs=0.05)
            return
    raise AssertionError("nothing was shed")


def test_a_second_that_is_lost_and_found_is_no_overload() -> None:
    """An encoder that stands still for 0.7 s, again and again, and catches up."""
    watched, media_s = overload(), 0.0
    watched.began(0.0)
    for number in range(1, 400):
        now = number * SAMPLE_S
        behind_s = now - media_s
        media_s += 0.0 if now % 10 < 0.7 else min(behind_s, 2 * SAMPLE_S)
        assert watched.look(Sample(now, media_s, now * 1.5, 0.0, 2.0, source_wait_s=0.0)) is None


@pytest.mark.parametrize(
    ("situation", "rest_s", "waited_s", "speed", "next_speed", "waits"),
    [
        ("nearly done", 0.3, 1.9, 0.6, 1.5, True),
        ("hardly begun, and hopelessly slow", 1.8, 0.4, 0.3, 1.5, False),
        ("slow, but the next would be no sooner", 1.2, 1.2, 0.64, 1.2, True),
        ("at full speed, so it is in time", 1.9, 0.1, 1.0, 1.0, True),
        ("it stands still", 1.0, 1.0, 0.0, 1.1, False),
    ],
)
def test_whether_a_segment_is_finished(
    situation: str, rest_s: float, waited_s: float, speed: float, next_speed: float, waits: bool
) -> None:
    decision = Decision("shed", ("1080p",), "", speed, next_speed)
    assert decision.waits_for(rest_s, waited_s=waited_s, segment_s=2.0) is waits, situation


def test_nothing_is_shed_where_it_is_switched_off() -> None:
    off = overload(enabled=False)
    assert watch(off, speed=0.5, seconds=60) is None
    assert off.speed == pytest.approx(0.5), "but it is measured"


def test_the_reason_names_speed_and_lag() -> None:
    _, decision = watch(overload(), speed=0.5, seconds=30) or (0, None)
    assert decision is not None and "speed 0.50" in decision.reason


def test_a_hiccup_is_no_overload() -> None:
    """One second lost at once, and caught up: nothing is shed."""
    watched = overload()
    watched.began(0.0)
    for number in range(1, 120):
        now = number * SAMPLE_S
        lost = max(0.0, min(0.9, (now - 20) * 2)) if now < 21 else max(0.0, 0.9 - (now - 21))
        sample = Sample(now, now - lost, now * 1.5, 0.0, 2.0)
        assert watched.look(sample) is None, now


def test_a_slow_clock_of_the_source_is_no_lag() -> None:
    """A source that runs 0.1 % slow for an hour, and an encoder that waits for it."""
    assert watch(overload(), speed=0.999, seconds=3600, waiting=0.7) is None
    assert watch(overload(), speed=0.999, seconds=3600, idle_cores=0.5) is None


def test_a_machine_that_is_one_percent_too_small_is_noticed_in_time() -> None:
    at, decision = watch(overload(), speed=0.99, seconds=600) or (0, None)
    assert decision is not None and at * 0.01 < 1.5, "before viewers lose a second and a half"


def test_the_rung_of_least_value_goes_first() -> None:
    """Equal pixels: what its viewers lose decides. Viewers: they weigh."""
    same = tuple(
        Rung(name, 1280, 720, rate, rate)
        for name, rate in (("a", 4_000_000), ("b", 2_000_000), ("c", 1_500_000), ("d", 500_000))
    )
    iso = Overload(same, 25.0, OverloadSettings())
    found = watch(iso, speed=0.9, seconds=30)
    assert found is not None and found[1].rungs == ("b",)
    crowd = {"1080p": 500, "720p": 0, "480p": 0, "240p": 20}
    found = watch(overload(), speed=0.9, seconds=30, viewers=crowd)
    assert found is not None and found[1].rungs == ("720p",)


def test_one_rung_is_never_shed() -> None:
    single = Overload(RUNGS[-1:], 25.0, OverloadSettings())
    assert watch(single, speed=0.3, seconds=60) is None


def shed_one() -> Overload:
    """The top rung is shed; the whole ladder cost 2.5 cores."""
    watched = overload()
    assert watch(watched, speed=0.8, seconds=30, cores_used=2.0) is not None
    assert watched.shed == ("1080p",)
    return watched


@pytest.mark.parametrize(
    ("situation", "idle_cores", "speed", "returns"),
    [
        ("no room", 0.2, 1.0, False),
        ("room for the rung, but none to spare", 1.55, 1.0, False),
        ("room", 2.1, 1.0, True),
        ("room, but it is slow all the same", 2.1, 0.9, False),
    ],
)
def test_when_a_rung_returns(
    situation: str, idle_cores: float, speed: float, returns: bool
) -> None:
    """It cost 2.5 cores with the rung and costs 1 without: the rung needs 1.5, and 30 % more."""
    watched = shed_one()
    found = watch(watched, speed=speed, seconds=120, idle_cores=idle_cores, cores_used=1.0 * speed)
    assert (found is not None and found[1].kind == "restore") == returns, situation
    if found is not None:
        assert found[1].rungs == ("1080p",)
        assert 10 <= found[0] <= 15
        assert watched.shed == ()


def test_rungs_come_back_in_the_reverse_order_as_far_as_there_is_room() -> None:
    watched = overload()
    found = watch(watched, speed=0.3, seconds=30, cores_used=2.0)
    assert found is not None and watched.shed == ("1080p", "720p")
    middle = watch(watched, speed=1.0, seconds=60, idle_cores=1.5, cores_used=0.5)
    assert middle is not None and middle[1].rungs == ("720p",)
    assert watched.encoded == ("720p", "480p", "240p")


def test_each_return_that_fails_doubles_the_wait_and_one_that_stands_ends_that() -> None:
    watched = shed_one()
    holds = []
    for _ in range(7):
        holds.append(watched.return_hold_s)
        assert watch(watched, speed=1.0, seconds=400, idle_cores=2.1, cores_used=1.0) is not None
        assert watch(watched, speed=0.8, seconds=30) is not None
    assert holds == [10, 20, 40, 80, 160, 300, 300]


# The loop, closed by a model of an encoder.


def test_a_ladder_twice_too_big_settles_at_once_and_stays() -> None:
    loop = run(Machine(cores=0.95, cost=COST), 600)
    assert [decision.kind for _, decision in loop.decisions] == ["shed"]
    assert loop.decisions[0][0] < 6
    assert all(speed > 0.97 for now, speed in loop.speeds if now > 10)
    assert "240p" in loop.overload.encoded and "480p" in loop.overload.encoded


def test_it_is_back_within_thirty_seconds_after_the_load_is_gone() -> None:
    busy = Machine(cores=2.5, cost=COST, others=lambda now: 1.6 if 20 < now < 80 else 0.0)
    loop = run(busy, 140)
    assert loop.shed_at(30), "the load is on"
    assert loop.shed_at(80) and not loop.shed_at(110), loop.decisions
    assert loop.lag_max_s < 2.0
    assert len(loop.decisions) <= 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cores", [0.5, 0.7, 1.0, 1.3, 1.7, 1.9, 1.95, 2.0, 2.2, 3.0])
def test_it_converges_on_a_machine_of_any_size(cores: float, seed: int) -> None:
    """An hour on a machine that does not change: few changes, and full speed between them."""
    loop = run(Machine(cores=cores, cost=COST, noise=0.05, seed=seed), 3600)
    assert len(loop.decisions) <= 8, loop.decisions
    late = [speed for now, speed in loop.speeds if now > 1800]
    assert sum(late) / len(late) > 0.99


@pytest.mark.parametrize("period_s", [5, 10, 20, 30, 45, 60, 90, 200])
@pytest.mark.parametrize("fed", [False, True])
def test_a_load_that_comes_and_goes_does_not_make_it_flap(period_s: float, fed: bool) -> None:
    """An hour: at most two rungs go and come a period, and far fewer where returns fail."""
    busy = Machine(
        cores=2.5,
        cost=COST,
        fed=fed,
        others=lambda now: 1.6 if now % period_s < period_s / 2 else 0.0,
    )
    loop = run(busy, 3600)
    assert len(loop.decisions) <= min(3 * 3600 / period_s, 54), loop.decisions


def test_a_publisher_that_stalls_is_not_taken_for_overload() -> None:
    stalls = Machine(
        cores=2.5, cost=COST, fed=True, source_speed=lambda now: 0.0 if now % 30 < 2 else 1.0
    )
    assert run(stalls, 600).decisions == []
