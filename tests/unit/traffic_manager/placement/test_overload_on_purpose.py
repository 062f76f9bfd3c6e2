"""More than two cores can hold, on purpose: what is admitted is held, what is slow is acted on."""

import random

import pytest

from tests.support.placing_world import World
from traffic_manager.placement.settings import PlacementSettings

SETTINGS = PlacementSettings.model_validate(
    {
        "queue": {"waiting_max": 4, "wait_max_s": 60, "retry_s": 15},
        "reservation_timeout_s": 10,
        "ended_kept": 20,
    }
)
ACTIONS = {"cores", "preset", "shed", "move", "hold", "place"}
SLOW = SETTINGS.adjust.speed_min
NOTED_WITHIN_S = 10.0


class Watch:
    """Notes how long tasks are slow without an action on record."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.slow_since_s: dict[str, float] = {}
        self.unnoted: list[str] = []

    def look(self) -> None:
        world = self.world
        slow = {
            task
            for worker in world.workers.values()
            for task, one in worker.tasks.items()
            if worker.up and one.speed < SLOW
        }
        self.slow_since_s = {t: self.slow_since_s.get(t, world.now_s) for t in slow}
        for task, since_s in self.slow_since_s.items():
            if world.now_s - since_s > NOTED_WITHIN_S and not self._acted(task, since_s):
                self.unnoted.append(f"{task} since {since_s}")

    def _acted(self, task: str, since_s: float) -> bool:
        channel = task.rpartition(".")[0]
        return any(
            record.channel == channel
            and record.action in ACTIONS
            and record.at_utc - 1.8e9 >= since_s - NOTED_WITHIN_S
            for record in self.world.decisions()
        )


def run(world: World, seconds: float) -> Watch:
    watch = Watch(world)
    for _ in range(round(seconds / world.step_s)):
        world.step()
        watch.look()
    return watch


def test_twice_too_heavy_for_any_worker_is_refused_with_what_would_fit() -> None:
    world = World(SETTINGS, sigma_log=0.1)
    for name in ("w1", "w2"):
        world.add(name, 1.0)
    world.want("heavy", 2.0)
    run(world, 60)
    assert not any(worker.tasks for worker in world.workers.values())
    [refused] = world.decisions("refuse")
    kinds = {remedy["kind"] for remedy in refused.quantiles["remedies"]}
    assert {"rungs", "worker"} <= kinds and "would fit" in refused.why


@pytest.mark.parametrize("seed", range(4))
def test_eight_channels_at_once_on_two_cores(seed: int) -> None:
    """Predictions are off by a fifth, either way; nobody knows which."""
    chance = random.Random(seed)
    world = World(SETTINGS, sigma_log=0.2)
    for name in ("w1", "w2"):
        world.add(name, 1.0)
    for number in range(8):
        cores = chance.uniform(0.2, 0.6)
        world.want(f"c{number}", cores, really=cores * chance.lognormvariate(0.0, 0.2))
    watch = run(world, 300)
    assert not watch.unnoted, watch.unnoted[:3]
    admitted = [worker for worker in world.workers.values() if worker.tasks]
    assert admitted, "as many as fit are admitted"
    slow = [
        one.order.channel
        for worker in admitted
        for one in worker.tasks.values()
        if one.speed < SLOW
    ]
    assert not slow, "what was admitted is held"
    waiting = {channel for channel in world.wanted if not world.running(channel)}
    told = {record.channel for record in world.decisions("refuse") + world.decisions("queue")}
    assert waiting and waiting <= told, "who does not run was told why"


def test_cores_of_what_never_starts_come_back_and_nothing_grows() -> None:
    world = World(SETTINGS, sigma_log=0.1)
    world.add("stuck", 1.0, starts=False)
    for number in range(8):
        world.want(f"c{number}", 0.3)
    run(world, 120)
    placing, sizes = world.placing, []
    for _ in range(3):
        run(world, 300)
        world.records.clear()
        sizes.append(len(world.logbook.decisions()))
        assert placing.reservations.of_worker("stuck") <= 1.0
        assert len(placing.tasks) <= 8 and len(placing.tasks.over) <= SETTINGS.ended_kept
        assert len(placing.waiting) <= SETTINGS.queue.waiting_max
        assert not placing._lost_tasks and not placing._adjusters
    assert max(sizes) <= 1000
    reserved = {one.task for one in placing.reservations}
    assert all(task.placed == (task.id in reserved) for task in placing.tasks)
