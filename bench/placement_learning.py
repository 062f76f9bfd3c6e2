"""What learning of transcode costs takes: a sample, a refit, a prediction; how soon it is right.

    python -m bench.placement_learning [--samples 1000] [--kind load_curve]

In a made world (costs are those of the shipped prior, times a factor of the channel and one of the
machine, with 5 % of noise; 40 channels on 12 workers) it takes the time of

- a sample: predicted, learned (factors fitted anew) and the alarm asked, with all history there is;
- a refit of how workers fare (both predictors), here and with the process of its own that a manager
  starts for it;
- a prediction of a channel's cores, and of a worker with a set of tasks.

Then it says how far off predictions are for a channel and a worker that never ran before, by the
number of samples learned: from the shipped prior, and from nothing but pixels a second.
"""

import argparse
import asyncio
import math
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tests.support.transcodes import PRIOR, Machines, signature_of
from traffic_manager.fitting import run_outside
from traffic_manager.placement.costs.cost import CostModel, ThumbPrior
from traffic_manager.placement.costs.learner import Learner, error_on
from traffic_manager.placement.costs.model import Load, Machine
from traffic_manager.placement.costs.samples import Sample

T = TypeVar("T")
CHANNELS, WORKERS, TASKS_MAX = 40, 12, 6


def world(seed: int) -> Machines:
    generator = np.random.default_rng(seed)
    channels = {f"c{n}": float(generator.lognormal(0, 0.35)) for n in range(CHANNELS)}
    workers = {f"w{n}": float(generator.lognormal(0.2, 0.3)) for n in range(WORKERS)}
    return Machines(seed, 0.05, workers, channels)


def samples_of(machines: Machines, count: int) -> list[Sample]:
    names, workers = list(machines.channels), list(machines.workers)
    found = []
    for _ in range(count):
        size = int(machines.generator.integers(1, TASKS_MAX + 1))
        chosen = machines.generator.choice(len(names), size, replace=False)
        worker = workers[int(machines.generator.integers(len(workers)))]
        found.append(machines.sample(worker, *(names[n] for n in chosen), cores=2.0))
    return found


def taken(what: str, call: Callable[[], object], times: int) -> None:
    """Prints median and p99 of a call, in CPU time: what others on this machine do is left out."""
    spent = []
    for _ in range(times):
        began = time.thread_time()
        call()
        spent.append(1e3 * (time.thread_time() - began))
    p99 = float(np.quantile(spent, 0.99))
    print(f"{what:58} median {statistics.median(spent):9.3f} ms   p99 {p99:9.3f} ms")


def once(what: str, call: Callable[[], T]) -> T:
    """Prints how long a call took, and how much of that it computed itself."""
    began, began_cpu = time.perf_counter(), time.process_time()
    found = call()
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    print(f"{what:58}        {took_s:9.3f} s    CPU {cpu_s:9.3f} s")
    return found


def times(samples: list[Sample], kind: str) -> None:
    learner = Learner(PRIOR, worker_kind=kind)
    spent = []
    for sample in samples:
        began = time.thread_time()
        learner.learn(sample)
        spent.append(1e3 * (time.thread_time() - began))
    last = spent[-100:]
    print(
        f"{f'a sample learned, after {len(samples)} of them':58} "
        f"median {statistics.median(last):9.3f} ms   p99 {float(np.quantile(last, 0.99)):9.3f} ms"
    )
    import sklearn.ensemble  # noqa: F401  (a process of its own pays for it; a refit does not)

    job = learner.wanted_fit()
    assert job is not None
    found = once(f"first fit of workers ({kind}), both figures", job.run)
    once("the same in a process of its own", lambda: asyncio.run(run_outside(job)))
    learner.fitted(job, found)
    learner.learn(samples[0])
    again = learner.wanted_fit()
    assert again is not None
    once("refit after one more sample", again.run)
    signature, machine = signature_of(), Machine("w0", 2.0)
    taken("one prediction of cores", lambda: learner.cost("c1", signature, machine), 2000)
    cost = learner.cost("c1", signature, machine)
    loads = [Load(f"c{number}", signature, cost) for number in range(3)]
    taken(
        "one prediction of a worker with three tasks",
        lambda: learner.outlook(machine, loads, 0.9),
        1000,
    )


def soon(seeds: int) -> None:
    """Errors on later samples by the number of samples learned."""
    print("\nmedian error of cores on the 100 samples that follow, by samples learned:")
    for name, prior in (("shipped prior", PRIOR), ("pixels a second", ThumbPrior())):
        rows: dict[int, list[float]] = {}
        for seed in range(seeds):
            samples = samples_of(world(seed), 400)
            costs, learned = CostModel(prior), 0
            for count in (0, 10, 25, 50, 100, 200):
                for sample in samples[learned:count]:
                    costs.learn(sample)
                learned = max(learned, count)
                rows.setdefault(count, []).append(error_on(costs, samples[count : count + 100]))
        figures = "  ".join(
            f"{count}: {100 * math.expm1(statistics.mean(errors)):.1f} %"
            for count, errors in rows.items()
        )
        print(f"  {name:16} {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument(
        "--kind", default="load_curve", help="predictor of speed and CPU of workers"
    )
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    times(samples_of(world(1), args.samples), args.kind)
    soon(args.seeds)


if __name__ == "__main__":
    main()
