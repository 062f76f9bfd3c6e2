"""Gradient-boosted regression trees: fitted by scikit-learn, kept as plain numbers. Pure.

A model in scikit-learn's own classes takes milliseconds for one row (checks, a thread pool), and
could only be kept as a pickle. Here a node is an entry in a few arrays, and one row goes down all
trees at the same time, a level at each step. Friedman 2001, with the histograms of LightGBM.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.past import Values
from traffic_manager.forecasting.slots import array_of, text_of

_TREES_MAX = 2000
_DEPTH_MAX = 64

Numbers = NDArray[np.int32]


class Trees:
    """The sum of many trees for one row of features, for each of several targets."""

    def __init__(
        self,
        base: Sequence[float],
        roots: Sequence[Sequence[int]],
        nodes: Mapping[str, NDArray[Any]],
    ) -> None:
        """`base`: what is added for each target; `roots`: its trees, as places of their first
        nodes. Raises ValueError for nodes that lead out of the arrays or round in circles."""
        self.base = np.asarray(base, dtype=np.float64)
        self._counts = [len(trees) for trees in roots]
        self._starts = np.cumsum([0, *self._counts[:-1]])
        self._roots = np.asarray([root for trees in roots for root in trees], dtype=np.int32)
        self._feature: Numbers = np.asarray(nodes["feature"], dtype=np.int32)
        self._threshold = np.asarray(nodes["threshold"], dtype=np.float32)
        self._missing_left = np.asarray(nodes["missing_left"], dtype=np.bool_)
        self._left: Numbers = np.asarray(nodes["left"], dtype=np.int32)
        self._right: Numbers = np.asarray(nodes["right"], dtype=np.int32)
        self._value = np.asarray(nodes["value"], dtype=np.float32)
        self._check()

    def _check(self) -> None:
        count = len(self._feature)
        arrays = (self._threshold, self._missing_left, self._left, self._right, self._value)
        if any(len(array) != count for array in arrays) or len(self._counts) != len(self.base):
            raise ValueError("arrays of nodes are not of the same length")
        own = np.arange(count)
        leaf = (self._left == own) & (self._right == own)
        for children in (self._left, self._right):
            # A leaf leads to itself, any other node to those behind it: so every way ends.
            if (children >= count).any() or (children[~leaf] <= own[~leaf]).any():
                raise ValueError("nodes lead to where there is none")
        if not (self._counts and all(self._counts)):
            raise ValueError("a target has no tree")
        if self._roots.min() < 0 or self._roots.max() >= count:
            raise ValueError("a tree has no first node")

    def of(self, row: Values) -> Values:
        """One row, shape (features,) -> (targets,). Missing features are NaN."""
        at = self._roots
        for _ in range(_DEPTH_MAX):
            there = row[self._feature[at]]
            left = there <= self._threshold[at]
            left |= np.isnan(there) & self._missing_left[at]
            below = np.where(left, self._left[at], self._right[at])
            if (below == at).all():
                break
            at = below
        total: Values = self.base + np.add.reduceat(
            self._value[at].astype(np.float64), self._starts
        )
        return total

    @property
    def width(self) -> int:
        """Features that a row must have at least."""
        return int(self._feature.max()) + 1

    def save(self) -> dict[str, Any]:
        """JSON, exact."""
        return {
            "base": self.base.tolist(),
            "counts": self._counts,
            "roots": text_of(self._roots),
            "feature": text_of(self._feature),
            "threshold": text_of(self._threshold),
            "missing_left": text_of(self._missing_left.astype(np.uint8)),
            "left": text_of(self._left),
            "right": text_of(self._right),
            "value": text_of(self._value),
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for what it cannot have given."""
        types = {"feature": "<i4", "threshold": "<f4", "missing_left": "u1"}
        types |= {"left": "<i4", "right": "<i4", "value": "<f4"}
        nodes = {name: array_of(state[name], dtype) for name, dtype in types.items()}
        roots = array_of(state["roots"], "<i4").tolist()
        ends = np.cumsum([0, *state["counts"]]).tolist()
        if ends[-1] != len(roots) or len(roots) > _TREES_MAX * len(state["counts"]):
            raise ValueError(f"{len(roots)} trees, and {ends[-1]} were said")
        each = [roots[first:last] for first, last in pairwise(ends)]
        return cls(state["base"], each, nodes)


def trees_of(models: Sequence[Any]) -> Trees:
    """Fitted `HistGradientBoostingRegressor`s of one output, a target each, as plain numbers."""
    found: list[NDArray[Any]] = []
    roots, offset = [], 0
    shifts = []
    for model in models:
        own = []
        for (tree,) in model._predictors:
            own.append(offset)
            shifts.append(offset)
            found.append(tree.nodes)
            offset += len(tree.nodes)
        roots.append(own)
    nodes = np.concatenate(found)
    shift = np.repeat(shifts, [len(tree) for tree in found])
    leaf, places = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
    return Trees(
        [float(np.ravel(model._baseline_prediction)[0]) for model in models],
        roots,
        {
            "feature": np.where(leaf, 0, nodes["feature_idx"]),
            "threshold": np.where(leaf, 0.0, nodes["num_threshold"]),
            "missing_left": nodes["missing_go_to_left"],
            "left": np.where(leaf, places, nodes["left"] + shift),
            "right": np.where(leaf, places, nodes["right"] + shift),
            "value": nodes["value"],
        },
    )
