"""Agents that rank workers by what runs on them, as the paper has them; extra `rl`. Pure.

This is no predictor: it says which worker is worth a task more, not what the task costs. A state is
the number of tasks of each rendition on each worker, and the rendition that is to come; an action
is a worker. In training a sample is drawn, one of its tasks is taken away and is what is to come,
and the action that puts it back where it was is rewarded with +1 where the sample met the target,
else -1. Of what was never tried the reward is -1, but +1 while a rendition has fewer than `FORCED`
samples: nothing would be learned of it otherwise (Pääkkönen et al. 2019, "Online architecture for
predicting live video transcoding resources"). One agent chooses among all workers, or each worker
has an agent of its own that sees only what runs there.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from traffic_manager.placement.costs.predictors.base import Values
from traffic_manager.placement.costs.predictors.q_network import QNetwork, trained
from traffic_manager.placement.costs.samples import Sample, TaskSample

FORCED = 50
FORMAT = 1
_COUNT_MAX = 64

Tasks = Mapping[str, Mapping[str, int]]
"""Worker -> rendition -> tasks."""


def rendition_of(task: TaskSample) -> str:
    """What a state tells tasks apart by: the largest rung and the preset."""
    if task.signature is None:
        return "unknown"
    top = max(task.signature.rungs, key=lambda rung: rung.width * rung.height)
    return f"{top.height}p {task.preset or task.signature.preset}"


@dataclass(frozen=True)
class Ranker:
    """Networks, and what their inputs and outputs stand for."""

    workers: tuple[str, ...]
    renditions: tuple[str, ...]
    networks: tuple[QNetwork, ...]
    """One for all workers, or one for each."""

    def rank(self, tasks: Tasks, rendition: str) -> list[tuple[str, float]]:
        """Workers with what each is worth, best first: above 0 it is thought to meet the target.

        A worker or rendition that it was not made for is worth nothing: -1.
        """
        if rendition not in self.renditions:
            return [(worker, -1.0) for worker in self.workers]
        state = _state(tasks, rendition, self.workers, self.renditions)
        if len(self.networks) == 1:
            worth = self.networks[0].worth(_flat(state)[None, :])[0]
        else:
            worth = np.asarray(
                [
                    float(np.subtract(*network.worth(_own(state, number)[None, :])[0]) / 2)
                    for number, network in enumerate(self.networks)
                ]
            )
        found = [(worker, float(of)) for worker, of in zip(self.workers, worth, strict=True)]
        return sorted(found, key=lambda pair: -pair[1])

    def save(self) -> bytes:
        """JSON, for the model store."""
        state = {
            "format": FORMAT,
            "workers": list(self.workers),
            "renditions": list(self.renditions),
            "networks": [network.save() for network in self.networks],
        }
        return json.dumps(state, allow_nan=False).encode()

    @classmethod
    def load(cls, content: bytes) -> Self:
        """What `save` gave. Raises ValueError, KeyError or TypeError for anything else."""
        state: Mapping[str, Any] = json.loads(content)
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']!r} of a ranker; known: {FORMAT}")
        workers, renditions = tuple(state["workers"]), tuple(state["renditions"])
        networks = tuple(QNetwork.load(network) for network in state["networks"])
        made = cls(workers, renditions, networks)
        if len(networks) not in (1, len(workers)):
            raise ValueError(f"{len(networks)} networks for {len(workers)} workers")
        made.rank({}, renditions[0])  # raises ValueError where shapes do not fit
        return made


def taught(
    samples: Sequence[Sample], *, target_speed: float, per_worker: bool = False, seed: int = 0
) -> Ranker:
    """Agents that went through these samples. Raises ValueError where there are none, LocalError
    where the extra is not installed."""
    if not any(sample.tasks for sample in samples):
        raise ValueError("no samples with tasks to learn from")
    workers = tuple(sorted({sample.worker for sample in samples}))
    renditions = tuple(sorted({rendition_of(t) for sample in samples for t in sample.tasks}))
    states, rewards, own = _situations(samples, workers, renditions, target_speed)
    if not per_worker:
        flat = np.asarray([_flat(state) for state in states])
        return Ranker(workers, renditions, (trained(flat, rewards, seed),))
    networks = []
    for number in range(len(workers)):
        here = [place for place, worker in enumerate(own) if worker == number]
        seen = np.asarray([_own(states[place], number) for place in here])
        takes = rewards[here, number]
        networks.append(trained(seen, np.stack([takes, -takes], axis=1), seed + number))
    return Ranker(workers, renditions, tuple(networks))


def _situations(
    samples: Sequence[Sample],
    workers: tuple[str, ...],
    renditions: tuple[str, ...],
    target_speed: float,
) -> tuple[list[Values], Values, list[int]]:
    """States, rewards of each worker in them, and the worker that was tried."""
    seen = Counter(rendition_of(task) for sample in samples for task in sample.tasks)
    states, rewards, own = [], [], []
    elsewhere: dict[str, dict[str, int]] = {}
    for sample in samples:
        counts = Counter(rendition_of(task) for task in sample.tasks)
        number = workers.index(sample.worker)
        for rendition in counts:
            before = {**elsewhere, sample.worker: counts - Counter([rendition])}
            states.append(_state(before, rendition, workers, renditions))
            untried = 1.0 if seen[rendition] < FORCED else -1.0
            reward = np.full(len(workers), untried)
            if untried < 0 or sample.speed_min >= target_speed:
                reward[number] = 1.0 if sample.speed_min >= target_speed else -1.0
            rewards.append(reward)
            own.append(number)
        elsewhere[sample.worker] = dict(counts)
    return states, np.asarray(rewards), own


def _state(
    tasks: Tasks, rendition: str, workers: tuple[str, ...], renditions: tuple[str, ...]
) -> Values:
    """Row for each worker: tasks of each rendition; last row: which one is to come."""
    found = np.zeros((len(workers) + 1, len(renditions)))
    for number, worker in enumerate(workers):
        counts = tasks.get(worker, {})
        found[number] = [min(counts.get(name, 0), _COUNT_MAX) for name in renditions]
    found[-1, renditions.index(rendition)] = 1.0
    return found


def _flat(state: Values) -> Values:
    return state.ravel()


def _own(state: Values, worker: int) -> Values:
    return np.concatenate([state[worker], state[-1]])
