"""Which source is on air: situations and the decision for each, then whole evenings at a time."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from segmenter.failover import Facts, Failover, Switch
from segmenter.faults import Fault
from segmenter.settings import BackupSettings
from surgecast.config import loads
from surgecast.errors import ConfigError

STEP_S = 0.25


def settings(**values: Any) -> BackupSettings:
    defaults: dict[str, Any] = {"loss_s": 1, "frozen_s": 4, "black_s": 4, "silence_s": 6}
    return BackupSettings.model_validate({"source": {"kind": "test"}, **defaults, **values})


def failover(**values: Any) -> Failover:
    return Failover(settings(**values), now=0.0, patience_s=3.0)


def facts(ready: bool = True, heard_at: float | None = None, **faults: float) -> Facts:
    found: Mapping[Fault, float] = {
        name: faults[name] for name in ("frozen", "black", "silence") if name in faults
    }
    return Facts(ready, heard_at, pictures=10, faults=found)


GOOD = facts()
GONE = Facts(ready=False)


@pytest.mark.parametrize(
    ("primary", "backup", "expected"),
    [
        (GOOD, GOOD, None),
        (GONE, GOOD, "lost"),
        (GONE, GONE, None),  # the slate
        (facts(heard_at=9.5), GOOD, None),
        (facts(heard_at=9.0), GOOD, "lost"),
        (facts(heard_at=9.0), facts(heard_at=8.0), None),  # no better
        (facts(frozen=3.9), GOOD, None),
        (facts(frozen=4.0), GOOD, "frozen"),
        (facts(black=4.0, frozen=3.8), GOOD, "black"),
        (facts(silence=5.9), GOOD, None),
        (facts(silence=6.0), GOOD, "silence"),
        (facts(frozen=60), GONE, None),  # a still picture is better than a slate
    ],
)
def test_on_the_primary(primary: Facts, backup: Facts, expected: str | None) -> None:
    decided = failover()
    decided.look(GOOD, GONE, 5.0)  # it has been there
    switch = decided.look(primary, backup, 10.0)
    assert (switch and switch.reason) == expected
    assert switch is None or switch.to == "backup"


@pytest.mark.parametrize(
    ("off", "primary"),
    [
        ("loss_s", GONE),
        ("frozen_s", facts(frozen=99)),
        ("black_s", facts(black=99)),
        ("silence_s", facts(silence=99)),
    ],
)
def test_every_threshold_can_be_off(off: str, primary: Facts) -> None:
    decided = failover(**{off: "off"})
    decided.look(GOOD, GONE, 5.0)
    assert decided.look(primary, GOOD, 10.0) is None


def test_a_primary_may_take_its_time_at_the_start() -> None:
    decided = failover()
    assert decided.look(GONE, GOOD, 2.9) is None
    assert decided.look(GONE, GOOD, 3.0) is not None


def on_backup(**values: Any) -> Failover:
    decided = failover(**values)
    decided.switched(Switch("backup", "lost", "primary: it is not there"), 10.0)
    return decided


def first(decided: Failover, at: Callable[[float], tuple[Facts, Facts]]) -> tuple[float, Switch]:
    """The first switch, and when, looking four times a second from 10 s on."""
    now = 10.0
    while now < 1000:
        if (switch := decided.look(*at(now), now)) is not None:
            return now, switch
        now += STEP_S
    raise AssertionError("no switch")


def test_back_when_the_primary_was_healthy_for_long_enough() -> None:
    """A primary that returns for a moment does not count."""

    def at(now: float) -> tuple[Facts, Facts]:
        there = 12 <= now < 20 or now >= 30
        return (GOOD if there else GONE), GOOD

    now, switch = first(on_backup(return_after_s=10), at)
    assert (now, switch.to, switch.reason) == (40.0, "primary", "healthy")


@pytest.mark.parametrize(
    "primary",
    [facts(frozen=0.5), facts(black=0.1), facts(silence=3.0), facts(heard_at=0), Facts(True)],
)
def test_a_primary_in_trouble_is_not_returned_to(primary: Facts) -> None:
    """A picture that stood still is frozen from its second picture on; `Facts(True)` had none."""
    with pytest.raises(AssertionError, match="no switch"):
        first(on_backup(), lambda now: (primary, GOOD))


def test_a_short_silence_does_not_start_the_wait_anew() -> None:
    now, _ = first(on_backup(), lambda now: (facts(silence=1.0) if now % 5 < 1 else GOOD, GOOD))
    assert now == 20.0


def test_only_an_operator_returns_where_that_is_off() -> None:
    decided = on_backup(return_after_s="off")
    with pytest.raises(AssertionError, match="no switch"):
        first(decided, lambda now: (GOOD, GOOD))
    decided.pin("primary")
    switch = decided.look(GOOD, GOOD, 1001.0)
    assert switch is not None and (switch.to, switch.reason) == ("primary", "operator")


def test_a_backup_that_is_lost_is_left_for_any_primary_that_delivers() -> None:
    now, switch = first(on_backup(), lambda now: (facts(black=30), GOOD if now < 20 else GONE))
    assert (now, switch.to, switch.reason, switch.urgent) == (20.0, "primary", "lost", True)


def test_a_backup_in_trouble_is_left_for_a_healthy_primary_sooner() -> None:
    now, switch = first(on_backup(return_after_s=60), lambda now: (GOOD, facts(black=now - 8)))
    assert (now, switch.reason) == (12.0, "better")


def test_with_both_black_nothing_is_switched() -> None:
    with pytest.raises(AssertionError, match="no switch"):
        first(on_backup(), lambda now: (facts(black=99), facts(black=99)))


def test_with_both_lost_the_first_that_comes_is_shown() -> None:
    now, switch = first(on_backup(), lambda now: (GOOD if now >= 50 else GONE, GONE))
    assert (now, switch.to) == (50.0, "primary")
    decided = failover()
    decided.look(GOOD, GONE, 5.0)
    now, switch = first(decided, lambda now: (GONE, GOOD if now >= 50 else GONE))
    assert (now, switch.to) == (50.0, "backup")


@pytest.mark.parametrize("mode", ["primary", "backup"])
def test_a_pinned_source_stays_whatever_happens(mode: Any) -> None:
    decided = failover()
    decided.pin(mode)
    now, switched = 10.0, 0
    for _ in range(400):
        switch = decided.look(GONE, GONE, now)
        if switch is not None:
            decided.switched(switch, now)
            switched += 1
        now += STEP_S
    assert (decided.on_air, switched) == (mode, 1 if mode == "backup" else 0)
    decided.pin("auto")
    switch = decided.look(GONE, GOOD, now)
    assert (switch and switch.to) == ("backup" if mode == "primary" else None)


def evening(period_s: float, good_s: float, seconds: float, **values: Any) -> list[float]:
    """When it switched, with a primary that is there `good_s` of every `period_s`."""
    decided, switches, now = failover(**values), list[float](), 0.0
    while now < seconds:
        primary = GOOD if now % period_s < good_s else GONE
        if (switch := decided.look(primary, GOOD, now)) is not None:
            decided.switched(switch, now)
            switches.append(now)
        now += STEP_S
    return switches


def test_a_primary_that_comes_and_goes_is_followed_less_and_less() -> None:
    """It is there 30 s of every 40: each return fails, and the next is twice as hard."""
    switches = evening(40, 30, 3600, return_after_s=5, return_after_max_s=300)
    assert len(switches) <= 8
    steady = evening(600, 590, 3600, return_after_s=5, return_after_max_s=300)
    assert len(steady) == 11  # six losses, five returns; each return stood its time


def test_returns_become_easy_again_after_one_that_held() -> None:
    decided = on_backup(return_after_s=5)
    for at in (20.0, 30.0):
        decided.switched(Switch("primary", "healthy", ""), at)
        decided.switched(Switch("backup", "lost", ""), at + 5)
    assert decided.return_hold_s == 20.0
    decided.switched(Switch("primary", "healthy", ""), 100.0)
    decided.switched(Switch("backup", "lost", ""), 300.0)
    assert decided.return_hold_s == 5.0


def test_off_is_how_it_is_written_in_yaml() -> None:
    text = "{source: {kind: test}, loss_s: off, frozen_s: 2s, return_after_s: off}"
    read = loads(text, BackupSettings)
    assert (read.loss_s, read.frozen_s, read.black_s, read.return_after_s) == (
        None,
        2.0,
        10.0,
        None,
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{source: {kind: test}, frozen_s: 0}", "frozen_s"),
        ("{source: {kind: test}, black_s: true}", "black_s"),
        ("{source: {kind: test}, silence_s: never}", "silence_s"),
        ("{source: {kind: nothing}}", "source"),
        ("{loss_s: 2}", "source"),
        (
            "{source: {kind: test}, return_after_s: 20, return_after_max_s: 10}",
            "return_after_max_s",
        ),
        ("{source: {kind: test}, backup: {}}", "backup"),
    ],
)
def test_what_cannot_be_is_named(text: str, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        loads(text, BackupSettings)
