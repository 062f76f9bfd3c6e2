"""One policy along one trace, in one piece or in slices."""

from collections.abc import Sequence

import numpy as np

from simulation.evaluate.placement.engine import Engine, Occupied, Placed
from simulation.evaluate.placement.samples import Measured
from simulation.evaluate.placement.simulated_fleet import SimulatedFleet, VirtualPace
from simulation.evaluate.placement.traces import Arrival, Worker
from tests.support.placement_bench import SETTINGS, TRUTH

WORKERS = (Worker("a", 0.25), Worker("b", 0.5))


class Two:
    """At most two tasks a worker."""

    name = "two"

    def __init__(self) -> None:
        self.learned: list[Measured] = []

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        room = [worker.worker for worker in workers if len(worker.tasks) < 2]
        return Placed(room[0]) if room else None

    def learn(self, sample: Measured, now_s: float) -> None:
        self.learned.append(sample)


class Counting(SimulatedFleet):
    """Knows what runs."""

    def __init__(self, pace: VirtualPace) -> None:
        super().__init__(WORKERS, TRUTH, pace, np.random.default_rng(1))
        self.running: set[str] = set()

    def start(self, worker: str, task: str, rendition: str) -> None:
        super().start(worker, task, rendition)
        assert task not in self.running
        self.running.add(task)

    def stop(self, worker: str, task: str) -> None:
        super().stop(worker, task)
        self.running.remove(task)


def engine(policy: Two, from_s: float = 0.0) -> tuple[Engine, Counting]:
    pace = VirtualPace(from_s)
    made = Counting(pace)
    return Engine(WORKERS, policy, made, pace, SETTINGS.sampling), made


TRACE = (
    Arrival("1", 0.0, "144p", 100.0),
    Arrival("2", 10.0, "240p", 200.0),
    Arrival("3", 20.0, "144p", 50.0),
    Arrival("4", 30.0, "480p", 500.0),
    Arrival("5", 40.0, "144p", 50.0),
    Arrival("6", 150.0, "144p", 40.0),
)


def test_tasks_are_placed_or_refused_and_their_time_is_counted() -> None:
    runs, made = engine(Two())
    found = runs.run(TRACE, 0.0, 300.0)
    assert (found.admitted, found.refused) == (5, 1)
    assert found.task_s == 100 + 200 + 50 + (300 - 30) + 40
    assert [one.arrival.task for one in found.carried] == ["4"]
    assert not made.running


def test_slices_count_what_one_piece_counts() -> None:
    whole, _ = engine(Two())
    once = whole.run(TRACE, 0.0, 300.0)
    first, _ = engine(Two())
    before = first.run(TRACE, 0.0, 120.0)
    second, _ = engine(Two(), 120.0)
    after = second.run(TRACE, 120.0, 300.0, before.carried)
    assert before.task_s + after.task_s == once.task_s
    assert before.admitted + after.admitted == once.admitted
    assert before.refused + after.refused == once.refused
    assert after.carried == once.carried


def test_what_is_seen_is_told_to_the_policy() -> None:
    policy = Two()
    runs, _ = engine(policy)
    found = runs.run(TRACE, 0.0, 300.0)
    assert policy.learned == found.samples
    assert found.samples
    assert all(sample.constant_s >= SETTINGS.sampling.constant_s for sample in found.samples)


def test_a_fleet_is_left_empty_when_a_policy_fails() -> None:
    class Failing(Two):
        def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
            if arrival.task == "3":
                raise RuntimeError("no idea")
            return super().place(arrival, workers)

    runs, made = engine(Failing())
    try:
        runs.run(TRACE, 0.0, 300.0)
    except RuntimeError:
        assert not made.running
    else:
        raise AssertionError("the error was lost")
