"""Runs a study: every policy on every seed, in this process or in several."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from simulation.result import Result
from simulation.scenario import PolicyKind, Scenario
from simulation.studies.outcome import Outcome, outcome_of
from simulation.studies.variation import Study, scenario_for
from simulation.world import run

Look = Callable[[int, int], None]
"""Runs that are done, of how many."""
_AHEAD = 4
"""Runs that wait for each process: results are taken one by one, so memory has a bound."""


def conducted(
    study: Study, policies: Sequence[PolicyKind], seeds: int, *, jobs: int, look: Look
) -> Outcome:
    """The same outcome whatever `jobs` is. Raises ConfigError."""
    scenarios = [(policy, study.seed + number) for number in range(seeds) for policy in policies]

    def results() -> Iterator[Result]:
        todo = (scenario_for(study, policy, seed) for policy, seed in scenarios)
        for done, result in enumerate(_all(todo, jobs), 1):
            look(done, len(scenarios))
            yield result

    return outcome_of(
        study.name,
        study.about,
        results(),
        origin_bps=study.origin.capacity_bps,
        relay_bps=study.relays.capacity_bps,
    )


def _all(scenarios: Iterator[Scenario], jobs: int) -> Iterator[Result]:
    """In order."""
    if jobs == 1:
        yield from map(run, scenarios)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        waiting = []
        for scenario in scenarios:
            waiting.append(pool.submit(run, scenario))
            if len(waiting) >= jobs * _AHEAD:
                yield waiting.pop(0).result()
        for running in waiting:
            yield running.result()
