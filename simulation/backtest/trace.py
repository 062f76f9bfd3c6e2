"""A recorded series made even: from samples as they came to one value a step. Pure.

Nothing is put right in silence: each repair is counted, with where it first happened, and a trace
that would need too many of them is refused.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from surgecast.errors import ConfigError

Values = NDArray[np.float64]

HELD_STEPS = 5
"""A silence of up to so many steps is filled with the last value; a longer one splits the trace."""
STEPS_MAX = 600_000
"""More than a year of minutes."""
SAMPLES_MIN = 3
_DROPPED_SHARE_MAX = 0.1
_BACK_FOR_GOOD = 30
_BACK_MAX_S = 86_400.0
_EPOCH_MIN_S = 315_532_800.0
"""Times from 1980 on are those of a calendar; smaller ones count from a beginning."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a file."""

    line: int
    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Repair:
    """What was put right, how often, and where first."""

    what: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.what}: {self.count} (first {self.first})"


@dataclass(frozen=True, slots=True)
class Trace:
    """One series, one value a step; where `part` changes, a long silence lies between."""

    name: str
    step_s: float
    at_s: Values
    values: Values
    part: NDArray[np.int64]
    repairs: tuple[Repair, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def later(self, steps: int) -> Values:
        """The value so many steps later; NaN where the trace, or its part, ends before."""
        found = np.full(len(self), np.nan)
        if steps < len(self):
            here, there = slice(0, len(self) - steps), slice(steps, None)
            same = self.part[here] == self.part[there]
            found[here][same] = self.values[there][same]
        return found

    def between(self, from_s: float, until_s: float) -> "Trace":
        """The steps from one time up to another, exclusive."""
        kept = (self.at_s >= from_s) & (self.at_s < until_s)
        if kept.sum() < SAMPLES_MIN:
            raise ConfigError(
                f"{self.name}: {kept.sum()} steps from {moment(from_s)} until {moment(until_s)}; "
                f"it has {moment(self.at_s[0])} to {moment(self.at_s[-1])}"
            )
        return self.only(kept)

    def only(self, kept: NDArray[np.bool_]) -> "Trace":
        """These steps, which follow one another."""
        at_s, values, part = self.at_s[kept], self.values[kept], self.part[kept]
        return Trace(self.name, self.step_s, at_s, values, part, self.repairs)


class _Repairs:
    """Counts, in the order in which they were first needed."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def note(self, what: str, where: str, count: int = 1) -> None:
        before, first = self._found.get(what, (0, where))
        self._found[what] = (before + count, first)

    def listed(self) -> tuple[Repair, ...]:
        return tuple(Repair(what, count, first) for what, (count, first) in self._found.items())


def made_even(
    name: str, samples: Sequence[Sample], *, step_s: float | None = None, counter: bool = False
) -> Trace:
    """The trace of these samples, in the order they came.

    A NaN is a sample that is missing. A `counter` only grows: its increase a step is the value.
    Raises ConfigError for what cannot be a series.
    """
    repairs = _Repairs()
    kept = _in_order(name, samples, repairs)
    times = np.asarray([sample.at_s for sample in kept])
    values = np.asarray([sample.value for sample in kept])
    if step_s is None:
        step_s = _usual_spacing_s(name, times)
    if counter:
        times, values = _increases(kept, step_s, repairs)
    elif len(values) > 100 and values[-1] > values[0] and (np.diff(values) >= 0).all():
        repairs.note("it never falls; if it counts from a start, say --counter", "all samples")
    return _on_grid(name, times, values, step_s, repairs)


def moment(at_s: float) -> str:
    """A time as people read it: a date where it is one, else seconds."""
    if not math.isfinite(at_s) or not _EPOCH_MIN_S <= at_s < 2e11:
        return f"{at_s:g} s"
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").removesuffix(":00")


def _in_order(name: str, samples: Sequence[Sample], repairs: _Repairs) -> list[Sample]:
    kept: list[Sample] = []
    dropped = 0
    for sample in _going_on(samples, repairs):
        where = f"in line {sample.line}"
        if math.isnan(sample.value):
            repairs.note("samples without a value left out", where)
        elif kept and sample.at_s == kept[-1].at_s:
            repairs.note("samples of the same time: the last one counts", where)
            kept[-1] = sample
        elif kept and sample.at_s < kept[-1].at_s:
            repairs.note("the clock went back: left out until it was past where it had been", where)
        else:
            kept.append(sample)
            continue
        dropped += 1
    if dropped > _DROPPED_SHARE_MAX * len(samples):
        found = "; ".join(map(str, repairs.listed()))
        raise ConfigError(
            f"{name}: {dropped} of {len(samples)} samples cannot be used ({found}); "
            f"allowed: {_DROPPED_SHARE_MAX:.0%}"
        )
    if len(kept) < SAMPLES_MIN:
        raise ConfigError(f"{name}: {len(kept)} samples; at least {SAMPLES_MIN} are needed")
    return kept


def _going_on(samples: Sequence[Sample], repairs: _Repairs) -> Iterator[Sample]:
    """The samples; those after a clock was set back for good are so much later as it was set back.

    It is for good when so many in a row are in order among themselves, and none of them is past
    where it had been. Who went back further than a day has another past.
    """
    latest_s, later_s = -math.inf, 0.0
    behind: list[Sample] = []
    for sample in samples:
        at_s = sample.at_s + later_s
        if behind and (at_s > latest_s or sample.at_s <= behind[-1].at_s):
            yield from behind
            behind = []
        if at_s > latest_s or math.isnan(sample.value):
            latest_s = latest_s if math.isnan(sample.value) else at_s
            yield replace(sample, at_s=at_s)
            continue
        behind.append(replace(sample, at_s=at_s))
        if len(behind) == _BACK_FOR_GOOD and 0 < latest_s - behind[0].at_s <= _BACK_MAX_S:
            repairs.note("the clock was set back for good: later times are moved", _line(behind[0]))
            moved_s = latest_s + behind[1].at_s - 2 * behind[0].at_s
            behind = [replace(one, at_s=one.at_s + moved_s) for one in behind]
            later_s += moved_s
            latest_s = behind[-1].at_s
            yield from behind
            behind = []
    yield from behind


def _line(sample: Sample) -> str:
    return f"in line {sample.line}"


def _usual_spacing_s(name: str, times: Values) -> float:
    step_s = float(np.round(np.median(np.diff(times)), 3))
    if step_s <= 0:
        raise ConfigError(f"{name}: samples come less than 1 ms apart; give --step")
    return step_s


def _increases(kept: Sequence[Sample], step_s: float, repairs: _Repairs) -> tuple[Values, Values]:
    """What a counter grew by, per step. After a reset it began at 0 (as in Prometheus)."""
    times, grown = [], []
    for before, after in itertools.pairwise(kept):
        increase = after.value - before.value
        if increase < 0:
            repairs.note("counter reset: it began at 0 again", f"in line {after.line}")
            increase = after.value
        times.append(after.at_s)
        grown.append(increase * step_s / (after.at_s - before.at_s))
    return np.asarray(times), np.asarray(grown)


def _on_grid(name: str, times: Values, values: Values, step_s: float, repairs: _Repairs) -> Trace:
    """Each sample at the nearest step; several in one step are averaged, none: the last is held."""
    places = np.floor((times - times[0]) / step_s + 0.5).astype(np.int64)
    steps, first, count = np.unique(places, return_index=True, return_counts=True)
    means = np.add.reduceat(values, first) / count
    shared = np.flatnonzero(count > 1)
    if len(shared):
        where = f"at {moment(times[first[shared[0]]])}"
        repairs.note(
            f"steps of {step_s:g} s with more than one sample: the mean", where, len(shared)
        )
    gaps = np.diff(steps)
    for gap in np.flatnonzero(gaps > 1):
        where = f"after {moment(times[0] + steps[gap] * step_s)}"
        if gaps[gap] - 1 <= HELD_STEPS:
            repairs.note("missing steps: the last value is held", where, int(gaps[gap]) - 1)
        else:
            repairs.note(f"silences over {HELD_STEPS} steps: nothing is assumed", where)
    wide = np.where(gaps - 1 <= HELD_STEPS, gaps, 1)
    repeats = np.append(wide, 1)
    if repeats.sum() > STEPS_MAX:
        found = f"{repeats.sum()} steps of {step_s:g} s"
        raise ConfigError(f"{name}: {found}; at most {STEPS_MAX}: take a longer --step")
    started = np.concatenate([[0], np.cumsum(repeats)[:-1]])
    within = np.arange(repeats.sum()) - np.repeat(started, repeats)
    part = np.concatenate([[0], np.cumsum(gaps - 1 > HELD_STEPS)])
    return Trace(
        name,
        step_s,
        times[0] + (np.repeat(steps, repeats) + within) * step_s,
        np.repeat(means, repeats),
        np.repeat(part, repeats),
        repairs.listed(),
    )
