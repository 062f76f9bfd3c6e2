"""Our own placement as a policy of the experiment: the product's choice, model and learning,
unchanged; only the words in between are translated here. Pure.

A channel is what the product knows by name: here, the one source made into one rendition. So it
may remember as much of a task as the forest of the paper, which counts tasks by rendition.
"""

import math
from collections.abc import Sequence

from simulation.evaluate.placement.engine import Occupied, Placed
from simulation.evaluate.placement.policies import Target
from simulation.evaluate.placement.samples import Measured, Predicted
from simulation.evaluate.placement.settings import ExperimentSettings
from simulation.evaluate.placement.traces import Arrival
from surgecast.control.messages import RungSignature, Signature
from traffic_manager.placement.choose import Wanted, WorkerView, choose
from traffic_manager.placement.costs.learner import Learner
from traffic_manager.placement.costs.model import Load, Machine
from traffic_manager.placement.costs.samples import Sample, TaskSample, nonsense
from traffic_manager.placement.settings import StrategySettings

_MEDIAN = 0.5


class Ours:
    """Follows `engine.Policy`."""

    name = "ours"

    def __init__(self, settings: ExperimentSettings, target: Target, model: Learner) -> None:
        self._model = model
        self._fit_every_s = settings.learning.fit_every_s
        self._fitted_s = -math.inf
        self._signatures = signatures(settings)
        self._strategy = StrategySettings(
            target=target.goal,
            target_speed=settings.strategy.speed_min,
            cpu_max=settings.strategy.cpu_max,
            confidence=settings.strategy.confidence,
        )
        self._reserved: dict[str, float] = {}

    def place(self, arrival: Arrival, workers: Sequence[Occupied]) -> Placed | None:
        views = [self._view(worker) for worker in workers]
        self._forget_ended(workers)
        wanted = Wanted(arrival.rendition, self._signatures[arrival.rendition])
        choice = choose(wanted, views, self._model, self._strategy)
        if choice.fit is None:
            return None
        self._reserved[arrival.task] = choice.fit.reserve_cores
        view = next(view for view in views if view.worker == choice.fit.worker)
        loads = (*view.loads, self._load(arrival.rendition, view.machine))
        said = self._model.outlook(view.machine, loads, _MEDIAN)
        return Placed(view.worker, Predicted(said.speed, said.cpu_cores / view.cores))

    def learn(self, sample: Measured, now_s: float) -> None:
        product = self._in_product(sample)
        if nonsense(product) is None:
            self._model.learn(product)
        if now_s - self._fitted_s >= self._fit_every_s:
            self._fitted_s = now_s
            self._fit()

    def train(self, samples: Sequence[Measured]) -> None:
        """What is on record before the start."""
        products = [self._in_product(sample) for sample in samples]
        self._model.recall([one for one in products if nonsense(one) is None])
        self._fit()

    def _fit(self) -> None:
        """In line: the product does it in a process of its own, as soon as there is a sample."""
        job = self._model.wanted_fit()
        if job is not None:
            self._model.fitted(job, job.run())

    def _view(self, worker: Occupied) -> WorkerView:
        machine = Machine(worker.worker, worker.cores)
        loads = tuple(self._load(task.rendition, machine) for task in worker.tasks)
        for task, load in zip(worker.tasks, loads, strict=True):
            # One that was carried over from a block before, as the product adopts what runs.
            self._reserved.setdefault(task.task, load.cost.high(self._strategy.confidence))
        reserved = sum(self._reserved[task.task] for task in worker.tasks)
        return WorkerView(worker.worker, worker.cores, loads=loads, reserved_cores=reserved)

    def _load(self, rendition: str, machine: Machine) -> Load:
        signature = self._signatures[rendition]
        return Load(rendition, signature, self._model.cost(rendition, signature, machine))

    def _forget_ended(self, workers: Sequence[Occupied]) -> None:
        running = {task.task for worker in workers for task in worker.tasks}
        self._reserved = {task: c for task, c in self._reserved.items() if task in running}

    def _in_product(self, sample: Measured) -> Sample:
        tasks = tuple(
            TaskSample(task.rendition, task.cores, task.speed, self._signatures[task.rendition])
            for task in sample.tasks
        )
        return Sample(
            sample.at_s,
            sample.worker,
            sample.cores,
            "",
            tasks,
            sample.speed_min,
            sample.cpu_cores,
            sample.constant_s,
        )


def signatures(settings: ExperimentSettings) -> dict[str, Signature]:
    """What is known of each task before it runs, by rendition."""
    source = settings.source
    return {
        one.rendition: Signature(
            width=source.width,
            height=source.height,
            frame_rate=source.frame_rate,
            source_bps=source.video_bps,
            preset=settings.preset,
            rungs=[
                RungSignature(
                    rung=one.rendition,
                    width=one.width,
                    height=one.height,
                    frame_rate=source.frame_rate,
                    video_bps=one.video_bps,
                )
            ],
        )
        for one in settings.renditions
    }
