"""Predictors judged on recorded encodes: fold by fold, before and after a few probes.

A predictor learns from all groups (videos, machines) but those of a fold and says what the rows of
these cost. Then, for each group by itself, k of its rows are drawn at random and shown: *probes*,
as the running renditions of a channel are. What the predictor makes of them
(`Predictor.adjustment`) changes its answers for the other rows of the group, and only these are
judged. Draws are repeated and averaged. Nothing is chosen by what came of a fold.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulation.evaluate.dataset import RANDOM, DataSet, folds
from surgecast.errors import LocalError
from traffic_manager.placement.costs.predictors.base import RECENT_MAX, Predictor, Table, Values
from traffic_manager.placement.costs.predictors.kinds import make_predictor

Progress = Callable[[str], None]

_TIMED_ROWS = 2000
_WARM_ROWS = 50


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of each kind."""

    kinds: tuple[str, ...]
    way: str
    """Of folding: a group of the data set, or random."""
    probes: tuple[int, ...] = (0,)
    folds: int = 5
    """0 leaves one group out at a time."""
    folds_run: int | None = None
    """Only so many of them; None for all."""
    draws: int = 3
    rows_max: int | None = None
    """Learned from, whole groups; None for all."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class AfterProbes:
    """Errors over all folds with that many probes for each group."""

    probes: int
    mape_percent: float
    """Mean over rows of |predicted - actual| / actual."""
    r2: float
    """Of values as they are, not of their logarithms."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One kind."""

    kind: str
    errors: tuple[AfterProbes, ...]
    within_sigma: float
    """Share of rows within one standard deviation as said beforehand; 0.68 would be right."""
    fit_s: float
    one_row_ms: float
    one_row_p99_ms: float
    one_row_cpu_p99_ms: float
    """The same in CPU time: what it is where nothing else runs."""
    refit_s: float
    """With a sample more, of bounded history."""
    refit_cpu_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    data: str
    target: str
    rows: int
    groups: int
    way: str
    folds: int
    draws: int
    notes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    missing: tuple[str, ...] = ()
    """Kinds whose library is not installed, and why."""


def judge(data: DataSet, question: Question, progress: Progress = lambda _: None) -> Outcome:
    """All kinds on the same folds. Raises ValueError for a way that the data set has not."""
    if question.way not in data.ways:
        raise ValueError(f"folds by {question.way!r}; {data.name} allows: {', '.join(data.ways)}")
    by = None if question.way == RANDOM else data.groups[question.way]
    parts = folds(by, len(data.table), question.folds, question.seed)[: question.folds_run]
    grouped = data.groups[data.usual if by is None else question.way]
    table = Table(data.table.names, data.table.rows, data.table.values, grouped)
    verdicts, missing = [], []
    for kind in question.kinds:
        try:
            verdicts.append(_judged(table, parts, kind, question, progress))
        except LocalError as error:
            missing.append(f"{kind}: {error}")
    return Outcome(
        data.name,
        data.target,
        len(table),
        len(np.unique(grouped)),
        question.way,
        len(parts),
        question.draws,
        data.notes,
        tuple(verdicts),
        tuple(missing),
    )


class _Tally:
    """Errors summed up over folds."""

    def __init__(self) -> None:
        self.share = self.weight = 0.0
        self.squares = self.total = self.total_squares = 0.0

    def add(self, values: Values, predicted: Values, weight: float) -> None:
        self.share += weight * float(np.sum(np.abs(predicted - values) / values))
        self.squares += weight * float(np.sum((predicted - values) ** 2))
        self.total += weight * float(values.sum())
        self.total_squares += weight * float((values**2).sum())
        self.weight += weight * len(values)

    def after(self, probes: int) -> AfterProbes:
        around = self.total_squares - self.total**2 / self.weight
        r2 = 1 - self.squares / around if around > 0 else float("nan")
        return AfterProbes(probes, 100 * self.share / self.weight, r2)


def _judged(
    table: Table, parts: Sequence[np.ndarray], kind: str, question: Question, progress: Progress
) -> Verdict:
    tallies = {probes: _Tally() for probes in question.probes}
    within, fit_s = [], []
    for number, part in enumerate(parts):
        progress(f"{kind}: fold {number + 1} of {len(parts)}")
        learned = np.ones(len(table), dtype=np.bool_)
        learned[part] = False
        predictor = make_predictor(kind, question.seed)
        began_s = time.perf_counter()
        predictor.fit(_some(table.only(np.flatnonzero(learned)), question))
        fit_s.append(time.perf_counter() - began_s)
        judged = table.only(part)
        cold = predictor.predict_all(judged)
        log_errors = np.log(judged.values) - np.log(cold)
        within.append(float((np.abs(log_errors) <= predictor.sigma_log).mean()))
        _add_probes(tallies, predictor, judged, cold, question, number)
    one_ms, cpu_ms = _one_row_ms(predictor, judged)
    return Verdict(
        kind,
        tuple(tally.after(probes) for probes, tally in tallies.items() if tally.weight),
        float(np.mean(within)),
        float(np.mean(fit_s)),
        float(np.median(one_ms)),
        float(np.quantile(one_ms, 0.99)),
        float(np.quantile(cpu_ms, 0.99)),
        *_refit_s(predictor, judged),
    )


def _add_probes(
    tallies: dict[int, _Tally],
    predictor: Predictor,
    judged: Table,
    cold: Values,
    question: Question,
    fold: int,
) -> None:
    """The rows of a fold, group by group; a group with no more rows than probes is left out."""
    assert judged.groups is not None
    order = np.argsort(judged.groups, kind="stable")
    ends = np.flatnonzero(np.diff(judged.groups[order])) + 1
    if 0 in tallies:
        tallies[0].add(judged.values, cold, 1.0)
    for place, group in enumerate(np.split(order, ends)):
        rows, values, before = judged.only(group), judged.values[group], cold[group]
        generator = np.random.default_rng((question.seed, fold, place))
        for _ in range(question.draws):
            # Of one draw, those with fewer probes are the first of those with more.
            drawn = generator.permutation(len(group))
            for probes in question.probes:
                if not 0 < probes < len(group):
                    continue
                shown, others = drawn[:probes], drawn[probes:]
                logs = np.log(values[shown]) - np.log(before[shown])
                after = before * np.exp(predictor.adjustment(rows, shown, logs))
                tallies[probes].add(values[others], after[others], 1 / question.draws)


def _some(table: Table, question: Question) -> Table:
    """Whole groups, up to that many rows."""
    if question.rows_max is None or len(table) <= question.rows_max:
        return table
    assert table.groups is not None
    names, counts = np.unique(table.groups, return_counts=True)
    order = np.random.default_rng(question.seed).permutation(len(names))
    kept = order[np.cumsum(counts[order]) <= question.rows_max]
    return table.only(np.isin(table.groups, names[kept if len(kept) else order[:1]]))


def _one_row_ms(predictor: Predictor, table: Table) -> tuple[Values, Values]:
    """Times of single predictions, as a placement asks for them: by the clock, and of the CPU."""
    drawn = np.random.default_rng(0).integers(0, len(table), _TIMED_ROWS + _WARM_ROWS)
    rows = [dict(zip(table.names, table.rows[row].tolist(), strict=True)) for row in drawn]
    took_ms, cpu_ms = [], []
    for row in rows:
        began_ns, began_cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        predictor.predict(row)
        cpu_ms.append((time.thread_time_ns() - began_cpu_ns) / 1e6)
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    return np.asarray(took_ms[_WARM_ROWS:]), np.asarray(cpu_ms[_WARM_ROWS:])


def _refit_s(predictor: Predictor, table: Table) -> tuple[float, float]:
    """How long it takes to learn one sample more, with all the history that is kept: by the clock,
    and of the CPU."""
    for row in range(min(len(table), RECENT_MAX)):
        features = dict(zip(table.names, table.rows[row].tolist(), strict=True))
        predictor.learn(features, float(table.values[row]))
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    predictor.refit()
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s
