"""Which sets of tasks are measured, and which of them judge."""

import pytest

from simulation.evaluate.placement import grid
from tests.support.placement_bench import COSTS, SETTINGS, measured, sample

RULES, NEW = SETTINGS.grid, SETTINGS.new_rendition


def test_a_round_is_known_by_its_number() -> None:
    assert grid.round_of(RULES, COSTS, NEW, 7) == grid.round_of(RULES, COSTS, NEW, 7)
    assert grid.round_of(RULES, COSTS, NEW, 7) != grid.round_of(RULES, COSTS, NEW, 9)


def test_every_fifth_round_is_an_earlier_one() -> None:
    earlier = [grid.round_of(RULES, COSTS, NEW, number) for number in range(10)]
    assert grid.round_of(RULES, COSTS, NEW, 10) in earlier


def test_half_of_the_rounds_go_without_the_new_rendition() -> None:
    rounds = [grid.round_of(RULES, COSTS, NEW, number) for number in range(4)]
    without = [all(NEW not in load.renditions for load in loads) for loads in rounds]
    assert without == [False, False, True, True]


def test_workers_are_filled_as_far_as_was_set() -> None:
    for number in range(40):
        for load in grid.round_of(RULES, COSTS, NEW, number):
            filled = sum(COSTS[name] for name in load.renditions) / load.worker.cores
            assert filled <= RULES.load_max or len(load.renditions) == 1
            assert load.renditions


def test_a_set_of_tasks_is_on_one_side() -> None:
    samples = measured(40)
    fitted, judged = grid.split(RULES, samples)
    assert len(fitted) + len(judged) == len(samples)

    def sets(side: list[object]) -> set[object]:
        return {(one.cores, tuple(sorted(one.counts.items()))) for one in side}  # type: ignore[attr-defined]

    assert not sets(list(fitted)) & sets(list(judged))
    assert 0.1 < len(judged) / len(samples) < 0.45


def test_mean_costs_leave_out_what_fell_behind() -> None:
    kept = sample(0.5, ["144p"], 1.0, 0.05)
    starved = sample(0.25, ["144p"], 0.5, 0.2)
    assert grid.mean_costs([kept, starved], ["144p", "480p"]) == {"144p": pytest.approx(0.05)}
