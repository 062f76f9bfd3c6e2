"""What a predictor of one positive number is, and what all of them have in common. Pure.

A predictor learns from a `Table` what a number (cores of a task, speed of a worker) is from named
features, and answers with a median and how far off it may be, as the standard deviation of the
logarithm. `kinds` makes them; tests/contracts/test_predictors.py holds them to this:

- what is handed in is not changed, the order of features is of no matter, the same seed gives the
  same answers;
- what was saved and loaded answers the same; a saved model is JSON, numbers and text: nothing that
  would have to be trusted when it is read (`saving`);
- a feature that is missing or NaN is taken at its median, one that was never learned is ignored,
  and one outside of what was learned makes the answer less certain, and the answer says so;
- a value that cannot be (NaN, infinite, zero or below) is refused with a ValueError in words, and
  nothing changes;
- memory is bounded: `learn` keeps the last `RECENT_MAX` rows, `fit` at most `KEPT_MAX` of its own,
  and `refit` goes by these.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors import saving

Values = NDArray[np.float64]

RECENT_MAX = 1000
"""Rows of `learn` that a refit goes by."""
KEPT_MAX = 1000
"""Rows of the last `fit` that a refit goes by, drawn by seed."""
FEATURES_MAX = 256
_HELD_OUT = 0.2
"""Share of rows (of groups, where there are some) that the uncertainty is measured on."""
_HELD_OUT_ROWS_MIN = 20
_JUDGED_ROWS_MAX = 10_000
_ERRORS_MAX = 60
_SHIFT_MAX = 5.0
"""A probe further off than e**that says that the predictor knows nothing, not by how much."""
_SIGMA_UNKNOWN = 0.5
"""Where there were too few rows to measure it."""
_SIGMA_MIN = 0.01
_OUTSIDE_SIGMA = 0.5
"""Added for a feature that lies outside by the whole width of what was learned."""
_NAMED_MAX = 3
"""Features outside that are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer."""

    value: float
    """The median; positive."""
    sigma_log: float
    """Standard deviation of its logarithm: about two in three are within a factor of e**that."""
    outside: str = ""
    """In words, what lies outside of what was learned; empty where nothing does."""

    def upper(self, deviations: float) -> float:
        """The value that many standard deviations above the median (below, where negative)."""
        return self.value * math.exp(deviations * self.sigma_log)


@dataclass(frozen=True, eq=False)
class Table:
    """Rows to learn from."""

    names: tuple[str, ...]
    """Of the features."""
    rows: Values
    """Shape (rows, features); NaN where a feature is missing."""
    values: Values
    """Shape (rows,); positive."""
    groups: NDArray[np.int64] | None = None
    """What belongs together (rows of one video): never learned from and judged at once."""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, float]], values: Sequence[float]) -> Self:
        """Of features by name; what a row does not have is missing."""
        names = tuple(sorted({name for row in rows for name in row}))
        matrix = [[float(row.get(name, math.nan)) for name in names] for row in rows]
        shaped = np.asarray(matrix, dtype=np.float64).reshape(len(rows), len(names))
        return cls(names, shaped, np.asarray(values, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.values)

    def only(self, which: NDArray[Any]) -> "Table":
        """Some of its rows, by number or by mask."""
        groups = None if self.groups is None else self.groups[which]
        return Table(self.names, self.rows[which], self.values[which], groups)


class Predictor(ABC):
    """See above. A kind says how it is fitted to complete rows, and what it makes of them."""

    kind: ClassVar[str]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.names: tuple[str, ...] = ()
        """Of the features it goes by, in order of the alphabet."""
        self.sigma_log = _SIGMA_UNKNOWN
        self.sigma_group = self.sigma_within = math.sqrt(0.5) * _SIGMA_UNKNOWN
        """How much groups (videos, machines) differ as wholes, and rows within one."""
        self.refit_wanted = 0
        """Rows learned since the last fit."""
        self.rows = 0
        """Of the last fit."""
        self._median: Values = np.empty(0)
        self._low: Values = np.empty(0)
        self._high: Values = np.empty(0)
        self._kept: tuple[Values, Values] = (np.empty((0, 0)), np.empty(0))
        self._recent: deque[tuple[dict[str, float], float]] = deque(maxlen=RECENT_MAX)
        self._errors: deque[float] = deque(maxlen=_ERRORS_MAX)
        """Logarithms, of rows before they were learned."""

    @property
    def fitted(self) -> bool:
        return len(self.names) > 0

    def fit(self, table: Table) -> None:
        """Learn anew from these rows. Raises ValueError for rows that cannot be learned from."""
        self._fit_table(table, is_measured=True)

    def learn(self, features: Mapping[str, float], value: float) -> None:
        """Note one row for the next `refit`. Raises ValueError for a value that cannot be."""
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"value {value}; allowed: a finite number above 0")
        if len(features) > FEATURES_MAX:
            raise ValueError(f"{len(features)} features; allowed: at most {FEATURES_MAX}")
        if self.fitted:
            self._errors.append(math.log(value / self.predict(features).value))
        self._recent.append(({name: float(of) for name, of in features.items()}, float(value)))
        self.refit_wanted += 1

    def newest(self, count: int) -> list[tuple[dict[str, float], float]]:
        """The rows that were learned last."""
        return list(self._recent)[-count:] if count > 0 else []

    def refit(self) -> None:
        """Fit anew: to rows kept from the last `fit`, and to those learned since. How far off it
        is was seen on these before they were learned from, and takes no second fit."""
        recent = list(self._recent)
        table = Table.of([row for row, _ in recent], [value for _, value in recent])
        if not self.fitted:
            self.fit(table)
            return
        kept = self._kept
        self._fit_table(_joined(Table(self.names, *kept), table), is_measured=False)
        if kept[0].shape[1] == len(self.names):
            self._kept = kept
        if len(self._errors) >= _HELD_OUT_ROWS_MIN:
            self.sigma_log = spread(np.asarray(self._errors))

    def predict(self, features: Mapping[str, float]) -> Prediction:
        """Of features by name. Raises ValueError before the first fit."""
        self._must_be_fitted()
        row = np.fromiter(
            (features.get(name, math.nan) for name in self.names), np.float64, len(self.names)
        )
        # NaN is neither below nor above: what is missing is not outside.
        outside = (row < self._low) | (row > self._high)
        missing = np.isnan(row)
        if missing.any():
            row = np.where(missing, self._median, row)
        if not outside.any():
            return Prediction(self._predict_one(row), self.sigma_log)
        return self._less_certain(self._predict_one(self._near(row)), row, outside)

    def predict_all(self, table: Table) -> Values:
        """Medians of many rows; `table.values` is not looked at."""
        return self._predict(self._rows_of(table))

    def adjustment(self, table: Table, probed: NDArray[np.int64], logs: Values) -> Values:
        """What to add to the logarithms of `predict_all(table)`, whose rows are of one group, when
        its rows `probed` were measured to be `logs` above what had been predicted for them.

        Here one factor for the group: the median, shrunk by how much groups are known to differ.
        """
        shift = 0.0
        if len(probed):
            noise = self.sigma_within**2 / len(probed)
            shift = float(np.clip(np.median(logs), -_SHIFT_MAX, _SHIFT_MAX))
            shift *= self.sigma_group**2 / (self.sigma_group**2 + noise)
        return np.full(len(table.rows), shift)

    def save(self) -> bytes:
        """All that was learned. `kinds.load_predictor` makes one of it."""
        state = {
            "names": list(self.names),
            "sigmas": [self.sigma_log, self.sigma_group, self.sigma_within],
            "refit_wanted": self.refit_wanted,
            "rows": self.rows,
            "seed": self.seed,
            "median": packed(self._median),
            "low": packed(self._low),
            "high": packed(self._high),
            "kept": [packed(self._kept[0]), packed(self._kept[1])],
            "recent": list(self._recent),
            "errors": list(self._errors),
            "model": self._state() if self.fitted else None,
        }
        return saving.written(self.kind, state)

    def restore(self, content: bytes) -> None:
        """Go on as the one that gave `save`. Raises ValueError for what it cannot have given."""
        state = saving.read(self.kind, content)
        with saving.in_words():
            self.names = tuple(map(str, state["names"]))
            self.sigma_log, self.sigma_group, self.sigma_within = map(float, state["sigmas"])
            self.seed = int(state["seed"])
            self.refit_wanted, self.rows = int(state["refit_wanted"]), int(state["rows"])
            self._median, self._low = unpacked(state["median"]), unpacked(state["low"])
            self._high = unpacked(state["high"])
            self._kept = (unpacked(state["kept"][0]), unpacked(state["kept"][1]))
            self._recent.clear()
            self._recent.extend((dict(row), float(value)) for row, value in state["recent"])
            self._errors.clear()
            self._errors.extend(map(float, state["errors"]))
            for bounds in (self._median, self._low, self._high):
                if bounds.shape != (len(self.names),):
                    raise ValueError(f"{len(self.names)} features, bounds of {bounds.shape}")
            if self.fitted:
                self._restore(state["model"])
                self._predict_one(self._median)

    @abstractmethod
    def _fit(self, rows: Values, values: Values) -> None:
        """Learn from complete rows (no NaN) with columns as in `names`."""

    @abstractmethod
    def _predict(self, rows: Values) -> Values:
        """Of complete rows, shape (rows, features) -> (rows,)."""

    def _predict_one(self, row: Values) -> float:
        return float(self._predict(row[None, :])[0])

    @abstractmethod
    def _state(self) -> Mapping[str, Any]:
        """The model as JSON."""

    @abstractmethod
    def _restore(self, state: Mapping[str, Any]) -> None:
        """Of what `_state` gave. Raises ValueError for what it cannot have given."""

    def _rows_of(self, table: Table) -> Values:
        """Complete, with columns as in `names`."""
        self._must_be_fitted()
        place = {name: number for number, name in enumerate(table.names)}
        rows = np.full((len(table.rows), len(self.names)), math.nan)
        for number, name in enumerate(self.names):
            if name in place:
                rows[:, number] = table.rows[:, place[name]]
        return self._near(np.where(np.isnan(rows), self._median, rows))

    def _near(self, rows: Values) -> Values:
        """No further outside than the width of what was learned: nobody knows what is there."""
        width = self._high - self._low
        return np.clip(rows, self._low - width, self._high + width)

    def _must_be_fitted(self) -> None:
        if not self.fitted:
            raise ValueError(f"the predictor ({self.kind}) has learned nothing yet")

    def _fit_table(self, table: Table, *, is_measured: bool) -> None:
        names, rows, values = _checked(table)
        self._median = np.nanmedian(rows, axis=0)
        self._low, self._high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
        self.names = names
        complete = np.where(np.isnan(rows), self._median, rows)
        generator = np.random.default_rng(self.seed)
        if is_measured:
            self._fit_and_measure(complete, values, table.groups, generator)
        else:
            self._fit(complete, values)
        some = generator.permutation(len(values))[:KEPT_MAX]
        self._kept = (complete[some], values[some])
        self.refit_wanted, self.rows = 0, len(values)

    def _fit_and_measure(
        self,
        rows: Values,
        values: Values,
        groups: NDArray[np.int64] | None,
        generator: np.random.Generator,
    ) -> None:
        """Fit to all rows, after the errors on a share of them that was held out are known."""
        found = self._errors_held_out(rows, values, groups, generator)
        if found is None:
            self.sigma_log = _SIGMA_UNKNOWN
            self.sigma_group = self.sigma_within = math.sqrt(0.5) * _SIGMA_UNKNOWN
        else:
            self.sigma_log = spread(found[0])
            self.sigma_group, self.sigma_within = spreads_of_groups(*found)
        self._fit(rows, values)

    def _errors_held_out(
        self,
        rows: Values,
        values: Values,
        groups: NDArray[np.int64] | None,
        generator: np.random.Generator,
    ) -> tuple[Values, NDArray[np.int64]] | None:
        """Log errors, and the groups they are of; None for too few rows."""
        if len(values) < _HELD_OUT_ROWS_MIN:
            return None
        groups = np.arange(len(values)) if groups is None else groups
        there = generator.permutation(np.unique(groups))
        held_out = np.isin(groups, there[: max(1, round(_HELD_OUT * len(there)))])
        if held_out.all():
            return None
        self._fit(rows[~held_out], values[~held_out])
        judged = generator.permutation(np.flatnonzero(held_out))[:_JUDGED_ROWS_MAX]
        error = np.log(values[judged]) - np.log(self._predict(rows[judged]))
        return error, groups[judged]

    def _less_certain(self, value: float, row: Values, outside: NDArray[np.bool_]) -> Prediction:
        """Wider by how far each feature lies outside, in widths of what was learned."""
        width = np.maximum(self._high - self._low, 0.1 * np.abs(self._high) + 1e-9)
        over = np.maximum(self._low - row, row - self._high) / width
        over = np.where(outside, over, 0.0)
        sigma_log = math.hypot(self.sigma_log, _OUTSIDE_SIGMA * float(np.minimum(over, 10).sum()))
        worst = [int(number) for number in np.argsort(-over) if outside[number]]
        words = [
            f"{self.names[number]} {row[number]:.4g} outside {self._low[number]:.4g} to "
            f"{self._high[number]:.4g}"
            for number in worst[:_NAMED_MAX]
        ]
        if len(worst) > _NAMED_MAX:
            words.append(f"{len(worst) - _NAMED_MAX} more")
        return Prediction(value, sigma_log, "; ".join(words))


def spread(errors: Values) -> float:
    """Robust standard deviation of log errors."""
    return max(_SIGMA_MIN, float(np.quantile(np.abs(errors), 0.6827)))


def spreads_of_groups(errors: Values, groups: NDArray[np.int64]) -> tuple[float, float]:
    """How much groups differ as wholes (their medians), and rows within one group."""
    names, place = np.unique(groups, return_inverse=True)
    if len(names) == len(errors):
        both = math.sqrt(0.5) * spread(errors)
        return both, both
    medians = np.asarray([np.median(errors[place == number]) for number in range(len(names))])
    return spread(medians), spread(errors - medians[place])


def _checked(table: Table) -> tuple[tuple[str, ...], Values, Values]:
    """Names in order, rows of features that are there at all, and values."""
    values = np.asarray(table.values, dtype=np.float64)
    if len(values) == 0 or table.rows.shape != (len(values), len(table.names)):
        raise ValueError(
            f"rows of shape {table.rows.shape}, {len(values)} values, {len(table.names)} names; "
            "expected: at least one row, of as many features as names"
        )
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        raise ValueError(
            f"value {values[wrong[0]]} in row {wrong[0]}; allowed: finite numbers above 0"
        )
    if len(set(table.names)) != len(table.names) or len(table.names) > FEATURES_MAX:
        raise ValueError(f"{len(table.names)} names; allowed: {FEATURES_MAX}, each one once")
    finite = np.isfinite(table.rows)
    order = [n for n in np.argsort(np.asarray(table.names)) if finite[:, n].any()]
    if not order:
        raise ValueError("no feature has a value in any row")
    rows = np.where(finite, table.rows, np.nan)[:, order].astype(np.float64)
    return tuple(table.names[number] for number in order), rows, values


def _joined(first: Table, second: Table) -> Table:
    names = tuple(sorted({*first.names, *second.names}))
    parts = []
    for table in (first, second):
        place = {name: number for number, name in enumerate(table.names)}
        part = np.full((len(table), len(names)), math.nan)
        for number, name in enumerate(names):
            if name in place:
                part[:, number] = table.rows[:, place[name]]
        parts.append(part)
    return Table(names, np.concatenate(parts), np.concatenate([first.values, second.values]))
