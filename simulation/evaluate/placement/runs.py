"""Runs blocks, real or simulated, and keeps a record of each: what is on record is not run again.

A block goes on where the policy's block before it ended: with the tasks that ran then, and with
what was learned from all samples of its run so far.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulation.evaluate.placement import makers, source
from simulation.evaluate.placement.blocks import Block, key_of
from simulation.evaluate.placement.engine import Carried, Engine, Fleet, Pace, Policy, Slice
from simulation.evaluate.placement.makers import Known
from simulation.evaluate.placement.measuring import Bench
from simulation.evaluate.placement.real_fleet import TracePace
from simulation.evaluate.placement.records import (
    Records,
    carried_of,
    row_of,
    row_of_carried,
    sample_of,
)
from simulation.evaluate.placement.simulated_fleet import SimulatedFleet, VirtualPace
from simulation.evaluate.placement.traces import Arrival, Worker, arrivals

Tell = Callable[[str], None]

_NEW_AT_SHARE = 0.4
"""Of a run has passed when the new rendition comes."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A policy that knows what it knew, and the tasks that ran. It takes seconds to make one, so
    that the clock of a real block starts afterwards."""

    policy: Policy
    carried: Sequence[Carried]


@dataclass
class Runs:
    """Blocks of one study."""

    known: Known
    workers: Sequence[Worker]
    records: Records
    run_s: float
    where: str
    _done: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._done = {key_of(row): row for row in self.records if row["kind"] == "block"}

    def undone(self, blocks: Sequence[Block]) -> list[Block]:
        return [block for block in blocks if block.key not in self._done]

    def real(self, bench: Bench, blocks: Sequence[Block], tell: Tell) -> None:
        """As many as there are; may be stopped between any two lines of its record."""
        left = self.undone(blocks)
        for number, block in enumerate(left):
            speed = source.reference_encode(bench.ffmpeg, bench.source)
            prepared = self._prepared(block)
            begun_utc = time.time()
            pace = TracePace(block.from_s)
            with bench.fleet(self.workers, self.known.limits, pace) as fleet:
                found = self._run(block, prepared, fleet, pace)
            drift = {"reference_wall_s": speed.wall_s, "reference_cpu_s": speed.cpu_s}
            self._keep(block, found, {"begun_utc": round(begun_utc, 1), **drift})
            tell(f"{number + 1} of {len(left)}: {told(block, found)}")

    def simulated(self, blocks: Sequence[Block], tell: Tell) -> None:
        """In virtual time."""
        for block in self.undone(blocks):
            pace = VirtualPace(block.from_s)
            random = np.random.default_rng([block.seed, block.number, 3])
            fleet = SimulatedFleet(self.workers, self.known.response, pace, random)
            found = self._run(block, self._prepared(block), fleet, pace)
            self._keep(block, found, {})
            tell(f"simulated: {told(block, found)}")

    def _prepared(self, block: Block) -> _Prepared:
        rows = self._before(block)
        seen = [sample_of(one) for row in rows for one in row["samples"]]
        policy = makers.policy(
            self.known, self.workers, block.policy, block.study, block.goal, block.seed, seen
        )
        carried = [carried_of(row) for row in rows[-1]["carried"]] if rows else []
        return _Prepared(policy, carried)

    def _run(self, block: Block, prepared: _Prepared, fleet: Fleet, pace: Pace) -> Slice:
        sampling = self.known.settings.sampling
        engine = Engine(self.workers, prepared.policy, fleet, pace, sampling)
        return engine.run(self.trace(block), block.from_s, block.until_s, prepared.carried)

    def trace(self, block: Block) -> tuple[Arrival, ...]:
        cores = sum(worker.cores for worker in self.workers)
        new_from_s = _NEW_AT_SHARE * self.run_s if block.study == "new_rendition" else None
        return arrivals(self.known.settings, cores, block.seed, self.run_s, new_from_s=new_from_s)

    def _before(self, block: Block) -> list[dict[str, Any]]:
        """Earlier blocks of the same run, in order."""
        found = [
            row
            for key, row in self._done.items()
            if key[:4] == block.key[:4] and row["until_s"] <= block.from_s
        ]
        return sorted(found, key=lambda row: float(row["from_s"]))

    def _keep(self, block: Block, found: Slice, more: dict[str, Any]) -> None:
        row = {
            "kind": "block",
            "where": self.where,
            "study": block.study,
            "goal": block.goal,
            "policy": block.policy,
            "seed": block.seed,
            "from_s": block.from_s,
            "until_s": block.until_s,
            "task_s": round(found.task_s, 3),
            "admitted": found.admitted,
            "refused": found.refused,
            "samples": [row_of(sample) for sample in found.samples],
            "carried": [row_of_carried(one) for one in found.carried],
            **more,
        }
        self.records.add(row)
        self._done[block.key] = row


def told(block: Block, found: Slice) -> str:
    """One line."""
    speeds = [sample.speed_min for sample in found.samples]
    mean = f"{np.mean(speeds):.3f}x" if speeds else "none"
    return (
        f"{block.study} {block.goal}, {block.policy}, seed {block.seed}, "
        f"{block.from_s:g} to {block.until_s:g} s: {found.task_s / 60:.1f} task-minutes, "
        f"{found.admitted} placed, {found.refused} refused, {len(speeds)} samples, mean {mean}"
    )
