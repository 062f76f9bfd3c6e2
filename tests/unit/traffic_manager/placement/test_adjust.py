"""One task that falls behind: situation -> step, and when steps are taken back."""

from dataclasses import replace

import pytest

from tests.support.placements import StatedModel, signature
from traffic_manager.placement.adjust import Adjuster, Situation, Step
from traffic_manager.placement.costs.model import Machine
from traffic_manager.placement.settings import AdjustSettings

SETTINGS = AdjustSettings(slow_after_s=2, cooldown_s=3, undo_after_s=10)
MODEL = StatedModel({"news": 1.0})
FULL = Situation(
    "news", signature(), Machine("a", 1.0), "", (), (), 0.5, 2.0, 1.0, 1.0, 0.0, 0.0
)  # fmt: skip
"""Half as fast as its source, with all cores of its worker."""


def first_step(at: Situation) -> Step | None:
    adjuster = Adjuster(SETTINGS)
    for now in range(10):
        if (step := adjuster.look(at, MODEL, float(now))) is not None:
            assert now >= SETTINGS.slow_after_s
            return step
    return None


@pytest.mark.parametrize(
    ("said", "at", "kind"),
    [
        ("there are cores", replace(FULL, free_cores=2.0), "cores"),
        ("there are none", FULL, "preset"),
        ("cores would not help", replace(FULL, free_cores=2.0, used_cores=0.5), "preset"),
        ("the fastest preset already", replace(FULL, preset="ultrafast"), "shed"),
        ("rungs went before", replace(FULL, preset="ultrafast", shed=("720p",)), "move"),
        (
            "its source is late",
            replace(FULL, used_cores=0.3, idle_cores=0.7, lag_s=0.0),
            "hold",
        ),
        ("its encoder shed by itself", replace(FULL, speed=1.0, own_shed=("720p",)), "move"),
        ("within the dead band", replace(FULL, speed=0.98), None),
        ("nothing is known of it", replace(FULL, signature=None), "move"),
    ],
)
def test_first_step(said: str, at: Situation, kind: str | None) -> None:
    step = first_step(at)
    assert (step and step.kind) == kind, said


def test_a_step_is_as_large_as_is_needed() -> None:
    """At half speed a preset at less than half the cost is wanted, not the next one."""
    preset = first_step(FULL)
    assert preset is not None and preset.preset == "ultrafast"
    slightly = first_step(replace(FULL, speed=0.9))
    assert slightly is not None and slightly.preset == "superfast"
    cores = first_step(replace(FULL, free_cores=8.0))
    assert cores is not None and cores.cores == pytest.approx(2 * SETTINGS.headroom)


def test_a_rung_that_is_watched_is_not_the_one_to_go() -> None:
    at = replace(FULL, preset="ultrafast", speed=0.9, viewers={"720p": 900})
    step = first_step(at)
    assert step is not None and step.rung.split(",")[0] == "480p"


def test_what_fails_after_it_was_undone_waits_twice_as_long() -> None:
    adjuster, now = Adjuster(SETTINGS), 0.0
    fast = replace(FULL, preset="superfast", speed=1.0, used_cores=0.3, idle_cores=0.9)

    def until(at: Situation, kind: str) -> float:
        nonlocal now
        began = now
        while True:
            step = adjuster.look(at, MODEL, now)
            if step is not None and step.kind == kind:
                return now - began
            now += 0.5
            assert now - began < 60, kind

    until(replace(FULL, speed=0.9), "preset")
    waits = []
    for _ in range(3):
        waits.append(until(fast, "restore"))
        until(replace(FULL, speed=0.9), "preset")
    assert waits == sorted(waits) and waits[2] >= 1.9 * waits[0]


def test_what_is_held_is_told_now_and_then() -> None:
    adjuster = Adjuster(SETTINGS)
    late = replace(FULL, used_cores=0.3, idle_cores=0.7, lag_s=0.0)
    told = [now for now in range(100) if adjuster.look(late, MODEL, float(now)) is not None]
    assert 3 <= len(told) <= 5
