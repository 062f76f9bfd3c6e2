"""What one video (or one machine) costs over all settings, as a curve of a few numbers. Pure.

Rows come in groups: one video under many settings, or one machine with many encodes. Logarithms of
a group over its settings are a mean curve plus a few components (principal components of the
groups learned from); how much of each component a group has is said by a Gaussian process from what
is the same in all its rows: size and complexity of a video, specifications of a machine. A new
group so gets a whole curve before it was measured.

Probes are believed by how errors hang together: the errors that are left on groups held out have a
covariance over settings, and given what a few settings showed, the best guess for all others is
their conditional mean (best linear unbiased prediction, Henderson 1975). One factor for all
settings, as other predictors have it, is the special case of errors that are the same everywhere.

A refit by what was learned since is that conditional mean for each group it is of: the curves stay,
and it takes no time. Curves are learned by `fit`.

Rows without groups are a group each, under one setting: then this is a plain Gaussian process.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Predictor, Table, Values, spread
from traffic_manager.placement.costs.predictors.gaussian import GaussianProcess, Kernel
from traffic_manager.placement.costs.predictors.linear import positive, scaling

_GROUPS_MAX = 1500
"""Learned from: a prediction takes time by each."""
_PLAIN_ROWS_MAX = 600
"""The same where rows are not grouped, and a refit is a fit."""
_GROUPS_MIN = 4
_COMPONENTS_MAX = 10
_SHARES_OF_COMPONENTS = 8
"""Groups that it takes to know one component more."""
_FILLED_MIN = 0.6
"""Share of settings that a group must have been measured under."""
_PARTS = 5
"""Groups are split into so many to measure errors on what is held out."""
_ERROR_COMPONENTS_MAX = 20
_ERROR_VARIANCE_MIN = 5e-4
_DIGITS = 6
_LOG_MAX = 50.0

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Grid:
    """Groups by settings, as logarithms of values."""

    groups: Values
    """Features of each group, shape (groups, features)."""
    settings: Values
    logs: Values
    """Shape (groups, settings)."""


@dataclass(frozen=True, eq=False)
class _Curves:
    """Mean, components, and the process that says how much of each a group has."""

    mean: Values
    components: Values
    """Shape (components, settings), scaled by how much groups differ in each."""
    centre: Values
    scale: Values
    process: GaussianProcess

    def of(self, groups: Values) -> Values:
        """Shape (groups, features) -> (groups, settings)."""
        scores = self.process.many((groups - self.centre) / self.scale)
        return np.asarray(self.mean + scores @ self.components)

    def of_one(self, group: Values, setting: int) -> float:
        scores = self.process.one((group - self.centre) / self.scale)
        return float(self.mean[setting] + scores.dot(self.components[:, setting]))


class Profile(Predictor):
    """See above."""

    kind = "profile"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._kernels: tuple[Kernel, ...] | None = None
        """To go on with in a refit, as finding them takes longest."""
        self._shown: dict[bytes, Values] = {}
        """Components of the error of groups that rows were learned of, by their features."""

    def refit(self) -> None:
        if self.fitted and not self._of_group.all():
            self._take_as_shown()
            return
        self._kernels = self._curves.process.kernels if self.fitted else None
        super().refit()
        self._kernels = None

    def _fit(self, rows: Values, values: Values) -> None:
        self._fit_grouped(rows, values, None)

    def _fit_and_measure(
        self,
        rows: Values,
        values: Values,
        groups: NDArray[np.int64] | None,
        generator: np.random.Generator,
    ) -> None:
        self._fit_grouped(rows, values, groups)

    def _fit_grouped(self, rows: Values, values: Values, groups: NDArray[np.int64] | None) -> None:
        generator = np.random.default_rng(self.seed)
        grid = None
        if groups is not None:
            self._of_group = _same_in_groups(rows, groups)
            grid = _grid(rows, np.log(values), groups, self._of_group, generator)
        if grid is None:
            self._of_group = np.ones(rows.shape[1], dtype=np.bool_)
            drawn = generator.permutation(len(values))[:_PLAIN_ROWS_MAX]
            grid = _Grid(rows[drawn], np.empty((1, 0)), np.log(values[drawn])[:, None])
        self._settings = grid.settings
        kernels = self._kernels
        if kernels is not None and len(kernels[0].lengths) != grid.groups.shape[1]:
            kernels = None
        self._curves = _learned(grid.groups, grid.logs, generator, kernels)
        self._shown = {}
        self._learn_errors(_errors_held_out(grid, self._curves.process.kernels, generator))
        self._index()

    def _learn_errors(self, errors: Values) -> None:
        """Covariance over settings, as a few components and what is left of each setting."""
        _, sizes, components = np.linalg.svd(errors, full_matrices=False)
        kept = min(_ERROR_COMPONENTS_MAX, max(1, len(errors) // _SHARES_OF_COMPONENTS))
        scaled = sizes[:kept, None] * components[:kept] / math.sqrt(max(1, len(errors)))
        self._shared: Values = np.ascontiguousarray(scaled.T)
        left = (errors**2).mean(axis=0) - (self._shared**2).sum(axis=1)
        self._own: Values = np.maximum(left, 0.0) + _ERROR_VARIANCE_MIN
        self.sigma_log = spread(errors)
        whole = np.median(errors, axis=1)
        self.sigma_group = spread(whole)
        self.sigma_within = spread(errors - whole[:, None])

    def adjustment(self, table: Table, probed: NDArray[np.int64], logs: Values) -> Values:
        """As `Predictor.adjustment`; by how errors under settings hang together."""
        if len(probed) == 0:
            return np.zeros(len(table.rows))
        settings = np.asarray([self._setting_of(row) for row in self._rows_of(table)])
        return np.asarray(self._shared[settings] @ self._components_of(settings[probed], logs))

    def _components_of(self, settings: Places, logs: Values) -> Values:
        """Of the error of a group that was found to be `logs` off under these settings."""
        shared = self._shared[settings]
        covariance = shared @ shared.T + np.diag(self._own[settings])
        return np.asarray(shared.T @ np.linalg.solve(covariance, logs))

    def _take_as_shown(self) -> None:
        """Rows learned since the fit, as probes of the groups they are of."""
        self._shown = {}
        recent = list(self._recent)
        table = Table.of([row for row, _ in recent], [value for _, value in recent])
        self.refit_wanted = 0
        if not recent:
            return
        rows = self._rows_of(table)
        logs = np.log(table.values) - np.log(self._predict(rows))
        settings = np.asarray([self._setting_of(row) for row in rows])
        members: dict[bytes, list[int]] = {}
        for number, group in enumerate(rows[:, self._of_group]):
            members.setdefault(group.tobytes(), []).append(number)
        for group, numbers in members.items():
            self._shown[group] = self._components_of(settings[numbers], logs[numbers])

    def _predict(self, rows: Values) -> Values:
        groups, place = np.unique(rows[:, self._of_group], axis=0, return_inverse=True)
        settings = np.asarray([self._setting_of(row) for row in rows], dtype=np.int64)
        found = self._curves.of(groups)[np.ravel(place), settings]
        if self._shown:
            none = np.zeros(self._shared.shape[1])
            shown = [self._shown.get(row[self._of_group].tobytes(), none) for row in rows]
            found = found + (self._shared[settings] * np.asarray(shown)).sum(axis=1)
        return positive(found, True)

    def _predict_one(self, row: Values) -> float:
        group, setting = row[self._of_group], self._setting_of(row)
        log = self._curves.of_one(group, setting)
        if self._shown and (shown := self._shown.get(group.tobytes())) is not None:
            log += float(self._shared[setting].dot(shown))
        return math.exp(max(-_LOG_MAX, min(log, _LOG_MAX)))

    def _setting_of(self, row: Values) -> int:
        """The one it is, or the nearest of those known."""
        setting = np.round(row[~self._of_group], _DIGITS) + 0.0
        place = self._places.get(setting.tobytes())
        if place is None:
            off = (self._settings - setting) / self._setting_scale
            place = int((off**2).sum(axis=1).argmin())
        return place

    def _index(self) -> None:
        self._places = {
            (np.round(setting, _DIGITS) + 0.0).tobytes(): number
            for number, setting in enumerate(self._settings)
        }
        self._setting_scale = scaling(self._settings)[1]

    def _state(self) -> Mapping[str, Any]:
        curves = self._curves
        return {
            "of_group": self._of_group.tolist(),
            "settings": packed(self._settings),
            "mean": packed(curves.mean),
            "components": packed(curves.components),
            "centre": packed(curves.centre),
            "scale": packed(curves.scale),
            "process": curves.process.save(),
            "shared": packed(self._shared),
            "own": packed(self._own),
            "shown": [
                [np.frombuffer(group).tolist(), shown.tolist()]
                for group, shown in self._shown.items()
            ],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._of_group = np.asarray(state["of_group"], dtype=np.bool_)
        self._settings = unpacked(state["settings"])
        arrays = [unpacked(state[name]) for name in ("mean", "components", "centre", "scale")]
        mean, components, centre, scale = arrays
        process = GaussianProcess.load(state["process"])
        self._curves = _Curves(mean, components, centre, scale, process)
        self._shared, self._own = unpacked(state["shared"]), unpacked(state["own"])
        self._shown = {
            np.asarray(group, dtype=np.float64).tobytes(): np.asarray(shown, dtype=np.float64)
            for group, shown in state["shown"]
        }
        if any(shown.shape != self._shared.shape[1:] for shown in self._shown.values()):
            raise ValueError("groups with other components than there are")
        count = len(self._settings)
        lengths = (len(mean), components.shape[1], len(self._shared), len(self._own))
        if self._of_group.shape != (len(self.names),) or set(lengths) != {count}:
            raise ValueError(f"{count} settings, and curves over {lengths}")
        self._index()


def _same_in_groups(rows: Values, groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Features that never change within a group."""
    order = np.argsort(groups, kind="stable")
    together = np.diff(groups[order]) == 0
    changes: NDArray[np.bool_] = (np.diff(rows[order], axis=0)[together] != 0).any(axis=0)
    return ~changes


def _grid(
    rows: Values,
    logs: Values,
    groups: NDArray[np.int64],
    of_group: NDArray[np.bool_],
    generator: np.random.Generator,
) -> _Grid | None:
    """Rows as groups by settings; None where they are none (few groups, or full of holes)."""
    settings, setting = np.unique(
        np.round(rows[:, ~of_group], _DIGITS) + 0.0, axis=0, return_inverse=True
    )
    names, first, group = np.unique(groups, return_index=True, return_inverse=True)
    setting, group = np.ravel(setting), np.ravel(group)
    counts = np.zeros((len(names), len(settings)))
    sums = np.zeros_like(counts)
    np.add.at(counts, (group, setting), 1.0)
    np.add.at(sums, (group, setting), logs)
    filled = (counts > 0).mean(axis=1) >= _FILLED_MIN
    chosen = np.flatnonzero(filled)
    if len(chosen) < _GROUPS_MIN or len(chosen) < len(names) / 2 or not of_group.any():
        return None
    chosen = np.sort(generator.permutation(chosen)[:_GROUPS_MAX])
    with np.errstate(invalid="ignore"):
        cells = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)[chosen]
    features = rows[first][:, of_group][chosen]
    return _Grid(features, settings, _without_holes(cells))


def _without_holes(cells: Values) -> Values:
    """A hole is taken at its group's mean, plus what its setting is above the mean."""
    if not np.isnan(cells).any():
        return cells
    of_setting = np.nanmean(cells, axis=0)
    of_setting = np.where(np.isnan(of_setting), np.nanmean(cells), of_setting)
    of_group = np.nanmean(cells - of_setting, axis=1)
    return np.where(np.isnan(cells), of_setting + of_group[:, None], cells)


def _learned(
    groups: Values,
    logs: Values,
    generator: np.random.Generator,
    kernels: tuple[Kernel, ...] | None = None,
) -> _Curves:
    mean = logs.mean(axis=0)
    _, _, components = np.linalg.svd(logs - mean, full_matrices=False)
    kept = min(_COMPONENTS_MAX, max(1, len(logs) // _SHARES_OF_COMPONENTS), len(components))
    scores = (logs - mean) @ components[:kept].T
    size = np.where(scores.std(axis=0) > 1e-9, scores.std(axis=0), 1.0)
    centre, scale = scaling(groups)
    flags = np.isin(groups, (0.0, 1.0)).all(axis=0)
    scale = np.where(flags, 1.0, scale)
    process = GaussianProcess.fit((groups - centre) / scale, scores / size, generator, kernels)
    return _Curves(mean, components[:kept] * size[:, None], centre, scale, process)


def _errors_held_out(
    grid: _Grid, kernels: tuple[Kernel, ...], generator: np.random.Generator
) -> Values:
    """Log errors of each group under each setting, learned from the other parts."""
    count = len(grid.logs)
    parts = generator.permutation(count) % min(_PARTS if count >= 100 else count, count)
    errors = np.zeros_like(grid.logs)
    for part in np.unique(parts):
        out = parts == part
        if out.all():
            return errors + 0.5  # of one group nothing is known
        curves = _learned(grid.groups[~out], grid.logs[~out], generator, kernels)
        errors[out] = grid.logs[out] - curves.of(grid.groups[out])
    return errors
