"""Which worker takes a task: situation -> choice."""

from dataclasses import replace

import pytest

from tests.support.placements import StatedModel, load, signature, worker
from traffic_manager.placement.choose import Choice, Wanted, WorkerView, choose
from traffic_manager.placement.costs.model import RuleOfThumb
from traffic_manager.placement.settings import StrategySettings

STRATEGY = StrategySettings(cpu_max=1.0, confidence=0.5)


def chosen(
    cores: float,
    *workers: WorkerView,
    strategy: StrategySettings = STRATEGY,
    sigma_log: float = 0.0,
    **wanted: object,
) -> Choice:
    task = Wanted("new", signature(), **wanted)  # type: ignore[arg-type]
    return choose(task, workers, StatedModel({"new": cores}, sigma_log), strategy)


SITUATIONS = [
    ("the only worker", (worker("a", 2.0),), "a"),
    ("the smallest that fits", (worker("a", 4.0), worker("b", 1.0), worker("c", 2.0)), "b"),
    ("one too small is passed over", (worker("a", 0.5), worker("b", 2.0)), "b"),
    (
        "of one size, the fullest that fits",
        (worker("a", 2.0), worker("b", 2.0, load("x", 0.9)), worker("c", 2.0, load("y", 1.5))),
        "b",
    ),
    ("one that drains takes none", (worker("a", 2.0, closed="drains"), worker("b", 4.0)), "b"),
    (
        "tasks that are there must keep their speed too",
        (worker("a", 1.0, load("x", 0.6)), worker("b", 2.0)),
        "b",
    ),
]


@pytest.mark.parametrize(("said", "workers", "expected"), SITUATIONS)
def test_choice(said: str, workers: tuple[WorkerView, ...], expected: str) -> None:
    choice = chosen(0.8, *workers)
    assert (choice.kind, choice.worker) == ("placed", expected), choice.why
    assert choice.fit is not None and choice.fit.reserve_cores == pytest.approx(0.8)


def test_a_prediction_that_is_less_sure_needs_more_room() -> None:
    sure = StrategySettings(cpu_max=1.0, confidence=0.95)
    small, large = worker("a", 1.0), worker("b", 4.0)
    assert chosen(0.8, small, large, strategy=sure, sigma_log=0.05).worker == "a"
    assert chosen(0.8, small, large, strategy=sure, sigma_log=0.4).worker == "b"


def test_the_target_decides_what_must_be_kept() -> None:
    host = worker("a", 1.0, load("x", 0.5))
    speed = StrategySettings(target="speed", confidence=0.5, cpu_max=0.8)
    assert chosen(0.45, host, strategy=speed).worker == "a"
    cpu = chosen(0.45, host, strategy=speed.model_copy(update={"target": "cpu"}))
    assert cpu.worker is None and "95% of its CPU" in cpu.why


def test_cores_that_others_reserved_are_not_taken() -> None:
    host = replace(worker("a", 2.0, load("x", 0.2)), reserved_cores=1.5)
    choice = chosen(0.8, host)
    assert choice.kind == "wait" and "0.50 cores to reserve" in choice.why


def test_a_backup_is_apart_from_its_primary_and_on_another_host_where_one_fits() -> None:
    same = (worker("a", 1.0, host="h1"), worker("b", 1.0, host="h1"))
    away = worker("c", 4.0, host="h2")
    apart = {"a": "h1"}
    assert chosen(0.5, *same, away, role="backup", apart_from=apart).worker == "c"
    assert chosen(0.5, *same, role="backup", apart_from=apart).worker == "b"
    alone = chosen(0.5, same[0], role="backup", apart_from=apart)
    assert alone.worker is None and "has the other task" in alone.why


def test_twice_too_heavy_is_refused_and_told_what_would_fit() -> None:
    choice = chosen(4.0, worker("a", 1.0), worker("b", 2.0))
    assert choice.kind == "refused" and "even with nothing else" in choice.why
    told = {remedy.kind: remedy for remedy in choice.remedies}
    assert told["preset"].preset == "ultrafast" and told["preset"].worker == "b"
    assert told["rungs"].shed == ("720p",)
    assert told["worker"].cores == 4.0
    again = chosen(4.0, worker("c", told["worker"].cores))
    assert again.worker == "c"


def test_far_too_heavy_is_told_both_at_once() -> None:
    choice = chosen(40.0, worker("b", 2.0))
    assert [remedy.kind for remedy in choice.remedies] == ["preset_and_rungs", "worker"]
    assert "preset ultrafast without 720p, 480p" in choice.why


def test_one_that_would_fit_on_an_empty_worker_waits() -> None:
    choice = chosen(0.8, worker("a", 1.0, load("x", 0.9)))
    assert choice.kind == "wait" and "as they are now" in choice.why


def test_without_workers_it_waits() -> None:
    choice = chosen(0.8)
    assert choice.kind == "wait" and choice.why.startswith("no worker reports")


def test_without_a_signature_the_assumed_cores_count() -> None:
    task = Wanted("new", None, unseen_cores=1.0)
    sure = STRATEGY.model_copy(update={"confidence": 0.9})
    assert choose(task, [worker("a", 1.0)], RuleOfThumb(), sure).worker is None
    choice = choose(task, [worker("a", 2.0)], RuleOfThumb(), sure)
    assert choice.fit is not None and "nothing is known" in choice.fit.cost.known


def test_the_rule_of_thumb_rises_with_pixels_and_preset() -> None:
    machine, model = worker("a", 4.0).machine, RuleOfThumb()
    costs = [model.cost("x", s, machine).cores for s in (signature(count=1), signature())]
    slower = model.cost("x", signature("medium"), machine).cores
    assert costs[0] < costs[1] < slower
