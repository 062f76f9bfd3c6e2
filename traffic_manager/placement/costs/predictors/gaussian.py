"""A Gaussian process for several targets: fitted with scikit-learn, kept as plain numbers. Pure.

Matérn kernel (nu = 1.5) with a length for each input where there are rows enough to find them, else
one for all; its settings are those of the greatest likelihood (Rasmussen and Williams 2006, chapter
5), on a share of the rows. Targets share the kernel of a target before them where they are many.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.packing import packed, unpacked

Values = NDArray[np.float64]

_OWN_KERNELS = 4
"""Targets with a kernel of their own; the rest takes the last of these."""
_ROWS_FOR_LENGTHS_MIN = 100
_ROWS_SEARCHED_MAX = 400
_STEPS_MAX = 12
_BLOCK = 2048
_ROOT3 = math.sqrt(3)


@dataclass(frozen=True, eq=False)
class Kernel:
    """How alike two rows are."""

    lengths: Values
    signal: float
    noise: float
    """Variances."""

    def between(self, some: Values, others: Values) -> Values:
        """Shape (some, others)."""
        left, right = some / self.lengths, others / self.lengths
        squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
        distances = _ROOT3 * np.sqrt(np.maximum(squares, 0.0))
        return np.asarray(self.signal * (1 + distances) * np.exp(-distances))


class GaussianProcess:
    """Expected targets of a row; inputs and targets are about 1 in size."""

    def __init__(self, kernels: Sequence[Kernel], rows: Values, weights: Values) -> None:
        """`weights`: shape (rows, targets). Raises ValueError for shapes that do not fit."""
        if rows.shape[0] != weights.shape[0] or not 1 <= len(kernels) <= _OWN_KERNELS:
            raise ValueError(f"{len(kernels)} kernels, rows {rows.shape}, weights {weights.shape}")
        self.kernels, self._rows, self._weights = tuple(kernels), rows, weights
        # For one row: lengths are taken off once.
        self._scaled = [np.ascontiguousarray(rows / kernel.lengths) for kernel in kernels]
        self._squares = [(scaled**2).sum(axis=1) for scaled in self._scaled]

    @classmethod
    def fit(
        cls,
        rows: Values,
        targets: Values,
        generator: np.random.Generator,
        kernels: Sequence[Kernel] | None = None,
    ) -> Self:
        """To targets of mean 0 and deviation 1, shape (rows, targets); kernels are found where
        none are given."""
        if kernels is None:
            some = generator.permutation(len(rows))[:_ROWS_SEARCHED_MAX]
            own = range(min(_OWN_KERNELS, targets.shape[1]))
            kernels = [_likeliest(rows[some], targets[some, target]) for target in own]
        weights = np.empty_like(targets)
        for number, kernel in enumerate(kernels):
            these = _targets_of(number, len(kernels), targets.shape[1])
            covariance = kernel.between(rows, rows)
            covariance[np.diag_indices_from(covariance)] += kernel.noise
            weights[:, these] = np.linalg.solve(covariance, targets[:, these])
        return cls(kernels, rows, weights)

    def one(self, row: Values) -> Values:
        """Of one row, shape (inputs,) -> (targets,)."""
        found = np.empty(self._weights.shape[1])
        for number, kernel in enumerate(self.kernels):
            own = row / kernel.lengths
            squares = self._squares[number] + own.dot(own) - 2 * self._scaled[number].dot(own)
            distances = _ROOT3 * np.sqrt(np.maximum(squares, 0.0))
            alike = kernel.signal * (1 + distances) * np.exp(-distances)
            these = _targets_of(number, len(self.kernels), len(found))
            found[these] = alike.dot(self._weights[:, these])
        return found

    def many(self, rows: Values) -> Values:
        """Of many rows, shape (rows, inputs) -> (rows, targets)."""
        found = np.empty((len(rows), self._weights.shape[1]))
        for number, kernel in enumerate(self.kernels):
            these = _targets_of(number, len(self.kernels), found.shape[1])
            for first in range(0, len(rows), _BLOCK):
                block = slice(first, first + _BLOCK)
                alike = kernel.between(rows[block], self._rows)
                found[block, these] = alike @ self._weights[:, these]
        return found

    def save(self) -> dict[str, Any]:
        """JSON, exact."""
        return {
            "kernels": [
                {"lengths": packed(each.lengths), "signal": each.signal, "noise": each.noise}
                for each in self.kernels
            ],
            "rows": packed(self._rows),
            "weights": packed(self._weights),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for what it cannot have given."""
        kernels = [
            Kernel(unpacked(each["lengths"]), float(each["signal"]), float(each["noise"]))
            for each in state["kernels"]
        ]
        return cls(kernels, unpacked(state["rows"]), unpacked(state["weights"]))


def _targets_of(number: int, kernels: int, targets: int) -> slice:
    """That go by a kernel."""
    return slice(number, targets if number == kernels - 1 else number + 1)


def _likeliest(rows: Values, target: Values) -> Kernel:
    """The kernel under which these values are most likely."""
    from scipy.optimize import minimize
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from threadpoolctl import threadpool_limits

    inputs = rows.shape[1]
    lengths = np.full(inputs if len(rows) >= _ROWS_FOR_LENGTHS_MIN else 1, 3.0)

    def climbed(objective: Any, start: Values, bounds: Values) -> tuple[Values, float]:
        limits = {"maxiter": _STEPS_MAX}
        found = minimize(objective, start, jac=True, bounds=bounds, options=limits)
        return found.x, found.fun

    kernel = ConstantKernel(1.0, (0.05, 100)) * Matern(lengths, (0.3, 100), nu=1.5)
    model = GaussianProcessRegressor(kernel + WhiteKernel(0.1, (1e-3, 2)), optimizer=climbed)
    with threadpool_limits(1), warnings.catch_warnings():
        # A length at its bound is an input that says nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = model.fit(rows, target).kernel_
    return Kernel(
        np.broadcast_to(np.ravel(found.k1.k2.length_scale), (inputs,)).copy(),
        float(found.k1.k1.constant_value),
        float(found.k2.noise_level),
    )
