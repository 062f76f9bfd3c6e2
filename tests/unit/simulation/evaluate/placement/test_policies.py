"""What each of R0 to R5 does in one situation."""

from dataclasses import replace

import numpy as np

from simulation.evaluate.placement.engine import Occupied
from simulation.evaluate.placement.makers import policy
from simulation.evaluate.placement.policies import Target
from simulation.evaluate.placement.requests import Requests
from simulation.evaluate.placement.samples import Running
from simulation.evaluate.placement.traces import Arrival, fleet
from tests.support.placement_bench import LIMITS, SETTINGS, TRUTH, known

KNOWN = known()
WORKERS = fleet(SETTINGS.workers)


def task(rendition: str) -> Arrival:
    return Arrival("new", 0.0, rendition, 100.0)


def worker(name: str, cores: float, *renditions: str) -> Occupied:
    tasks = tuple(Running(f"{name}{place}", one) for place, one in enumerate(renditions))
    return Occupied(name, cores, tasks)


EMPTY = [worker("a", 0.25), worker("b", 0.375), worker("c", 0.5)]


def test_the_reference_requests_whole_limits() -> None:
    reference = policy(KNOWN, WORKERS, "R0", "main", "speed", 1)
    # 0.1875 + 0.0625 are all of 0.25: no room for another limit of 0.0625
    full = [worker("a", 0.25, "480p", "144p")]
    assert reference.place(task("144p"), full) is None
    assert reference.place(task("144p"), [worker("a", 0.25, "480p")]) is not None


def test_random_placement_with_smaller_requests_takes_more() -> None:
    shared = policy(KNOWN, WORKERS, "R1", "main", "speed", 1)
    assert shared.place(task("144p"), [worker("a", 0.25, "480p", "144p")]) is not None


def test_random_placement_is_random_by_seed() -> None:
    def chosen(seed: int) -> list[str]:
        made = policy(KNOWN, WORKERS, "R0", "main", "speed", seed)
        placed = [made.place(task("144p"), EMPTY) for _ in range(30)]
        return [one.worker for one in placed if one is not None]

    assert chosen(1) == chosen(1)
    assert set(chosen(1)) == {"a", "b", "c"}


def test_best_fit_leaves_the_least() -> None:
    best = policy(KNOWN, WORKERS, "R2", "main", "speed", 1)
    placed = best.place(task("480p"), [worker("c", 0.5, "480p", "480p"), worker("b", 0.375)])
    assert placed is not None and placed.worker == "c"
    assert best.place(task("480p"), [worker("a", 0.25, "480p")]) is None


def test_the_first_seed_takes_the_one_with_most_room() -> None:
    first = policy(KNOWN, WORKERS, "R3", "main", "speed", 1)
    placed = first.place(task("144p"), [worker("c", 0.5, "480p", "480p"), worker("b", 0.375)])
    assert placed is not None and placed.worker == "b"
    assert first.place(task("480p"), [worker("a", 0.25, "480p")]) is None


def test_the_forest_takes_the_smallest_that_meets_the_target() -> None:
    forest = policy(KNOWN, WORKERS, "R4", "main", "speed", 1)
    placed = forest.place(task("144p"), EMPTY)
    assert placed is not None and placed.worker == "a"
    assert placed.predicted.speed is not None and placed.predicted.speed > 0.98
    crowded = worker("c", 0.5, *["360p"] * 6)
    assert forest.place(task("144p"), [crowded]) is None


def test_the_forest_places_what_is_new_at_random_until_it_has_seen_enough() -> None:
    forest = policy(KNOWN, WORKERS, "R4", "new_rendition", "speed", 1)
    names = {getattr(forest.place(task("480p"), EMPTY), "worker", None) for _ in range(20)}
    assert names == {"a", "b", "c"}
    assert {getattr(forest.place(task("144p"), EMPTY), "worker", None) for _ in range(9)} == {"a"}


def test_what_the_forest_was_first_trained_on_is_not_new_to_it_however_little_it_was() -> None:
    """Placed at random until seen often, it would lose every comparison after a short grid."""
    learning = SETTINGS.learning.model_copy(update={"forced_samples": 10_000})
    settings = SETTINGS.model_copy(update={"learning": learning})
    forest = policy(replace(KNOWN, settings=settings), WORKERS, "R4", "main", "speed", 1)
    crowded = worker("c", 0.5, *["360p"] * 6)
    assert forest.place(task("144p"), [crowded]) is None
    assert {getattr(forest.place(task("144p"), EMPTY), "worker", None) for _ in range(9)} == {"a"}


def test_the_forest_knows_nothing_at_a_cold_start() -> None:
    forest = policy(KNOWN, WORKERS, "R4", "cold_start", "speed", 1)
    placed = forest.place(task("144p"), EMPTY)
    assert placed is not None and placed.predicted.speed is None
    for sample in KNOWN.samples[: SETTINGS.learning.cold_samples]:
        forest.learn(sample, 0.0)
    placed = forest.place(task("144p"), EMPTY)
    assert placed is not None and placed.predicted.speed is not None


def test_a_run_that_goes_on_has_learned_what_it_had() -> None:
    seen = KNOWN.samples[: SETTINGS.learning.cold_samples]
    forest = policy(KNOWN, WORKERS, "R4", "cold_start", "speed", 1, seen)
    placed = forest.place(task("144p"), EMPTY)
    assert placed is not None and placed.predicted.speed is not None
    few = policy(KNOWN, WORKERS, "R4", "cold_start", "speed", 1, seen[:-1])
    placed = few.place(task("144p"), EMPTY)
    assert placed is not None and placed.predicted.speed is None


def test_the_oracle_goes_by_the_response() -> None:
    oracle = policy(KNOWN, WORKERS, "R5", "main", "both", 1)
    for count in range(12):
        occupied = worker("c", 0.5, *["240p"] * count)
        speed, cpu_cores = TRUTH.mean(0.5, ["240p"] * (count + 1))
        good = speed >= SETTINGS.strategy.speed_min and cpu_cores / 0.5 <= SETTINGS.strategy.cpu_max
        assert (oracle.place(task("240p"), [occupied]) is not None) == good


def test_ours_is_the_product_and_knows_when_to_refuse() -> None:
    ours = policy(KNOWN, WORKERS, "ours", "main", "both", 1)
    placed = ours.place(task("144p"), EMPTY)
    assert placed is not None and placed.worker == "a"
    assert placed.predicted.cpu_share is not None
    assert ours.place(task("480p"), [worker("c", 0.5, *["480p"] * 4)]) is None


def test_each_goal_has_its_own_range() -> None:
    speed, cpu, both = (Target(goal, SETTINGS.strategy) for goal in ("speed", "cpu", "both"))  # type: ignore[arg-type]
    slow, busy = (0.9, 0.5), (1.0, 0.99)
    assert [one.met(*slow) for one in (speed, cpu, both)] == [False, True, False]
    assert [one.met(*busy) for one in (speed, cpu, both)] == [True, False, False]


def test_requests_are_a_share_of_limits() -> None:
    half = Requests(LIMITS, 0.5)
    assert half.of("480p") == LIMITS["480p"] / 2
    assert np.isclose(half.free(worker("a", 0.25, "480p")), 0.25 - LIMITS["480p"] / 2)
