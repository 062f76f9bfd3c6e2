"""Makes the policies of a study, each with what it may know at the start. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from simulation.evaluate.placement import grid, models
from simulation.evaluate.placement.blocks import Study
from simulation.evaluate.placement.engine import Policy
from simulation.evaluate.placement.ours import Ours
from simulation.evaluate.placement.policies import (
    BestFit,
    Goal,
    Learned,
    MostFree,
    Oracle,
    RandomPlacement,
    Target,
)
from simulation.evaluate.placement.requests import Requests
from simulation.evaluate.placement.response import Response
from simulation.evaluate.placement.samples import Measured
from simulation.evaluate.placement.settings import ExperimentSettings
from simulation.evaluate.placement.traces import Worker
from surgecast.errors import ConfigError
from traffic_manager.placement.costs.learner import Learner
from traffic_manager.placement.costs.prior_file import shipped_prior


@dataclass(frozen=True)
class Known:
    """What was measured before the runs."""

    settings: ExperimentSettings
    limits: Mapping[str, float]
    samples: Sequence[Measured]
    response: Response

    def for_study(self, study: Study) -> Sequence[Measured]:
        """What policies may learn from at the start: nothing at a cold start, and nothing of the
        new rendition where that is studied."""
        if study == "cold_start":
            return ()
        if study == "main":
            return self.samples
        new = self.settings.new_rendition
        return [sample for sample in self.samples if new not in sample.counts]


def policy(
    known: Known,
    workers: Sequence[Worker],
    name: str,
    study: Study,
    goal: Goal,
    seed: int,
    before: Sequence[Measured] = (),
) -> Policy:
    """One that has seen the samples `before`, of its own run so far.

    Raises ConfigError for a name that is none.
    """
    settings = known.settings
    target = Target(goal, settings.strategy)
    random = np.random.default_rng([seed, len(before), 5])
    whole, shared = (Requests(known.limits, share) for share in (1.0, settings.requests.share))
    renditions = [one.rendition for one in settings.renditions]
    training = known.for_study(study)
    if name in ("R0", "R1"):
        return RandomPlacement(name, whole if name == "R0" else shared, random)
    if name == "R2":
        costs = grid.mean_costs(known.samples, renditions)
        cpu_max = settings.strategy.cpu_max
        ceiling = settings.learning.static_fill if goal == "speed" else cpu_max
        return BestFit(name, costs, ceiling)
    if name == "R3":
        return MostFree(name, models.svr_costs(training, settings.renditions))
    if name == "R4":
        model = models.forest(renditions, settings.learning.trees, seed)
        learned = Learned(name, target, shared, settings.learning, model, random)
        learned.train(training)
        learned.resume(before)
        return learned
    if name == "R5":
        return Oracle(name, target, known.response)
    if name == "ours":
        kind = settings.learning.worker_kind
        ours = Ours(settings, target, Learner(shipped_prior(), worker_kind=kind, seed=seed))
        ours.train([*_as_of(workers, training), *before])
        return ours
    raise ConfigError(f"no policy {name!r}")


def _as_of(workers: Sequence[Worker], samples: Sequence[Measured]) -> list[Measured]:
    """Samples of the grid as if workers of the fleet had given them, in turn for each size: the
    product knows workers by name, and the grid was measured on these sizes of this machine."""
    turns = {
        cores: cycle([one.worker for one in workers if one.cores == cores])
        for cores in {one.cores for one in workers}
    }
    return [
        replace(sample, worker=next(turns[sample.cores])) if sample.cores in turns else sample
        for sample in samples
    ]
