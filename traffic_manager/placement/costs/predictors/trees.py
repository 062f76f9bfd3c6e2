"""Ensembles of regression trees as plain numbers: fitted by a library, walked here. Pure.

In a library's own classes one row takes milliseconds (checks, a thread pool) and a model could only
be kept as a pickle. Here a node is a place in a few arrays, and one row goes down all trees at the
same time: first every question of every node is answered at once, then a level at each step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Values

TREES_MAX = 5000
NODES_MAX = 20_000_000
_DEPTH_MAX = 128
_ALL_ASKED_MAX = 60_000
"""Nodes up to which all questions are answered beforehand; above, only those on the way."""
_BLOCK = 1024

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Nodes:
    """One tree; children are places in the same arrays, a leaf has itself as both."""

    feature: Places
    threshold: Values
    """Left where the feature is at most this."""
    left: Places
    right: Places
    value: Values


class Trees:
    """`base` plus the sum of all trees (a mean, where values were divided before)."""

    def __init__(self, base: float, roots: Places, nodes: Nodes) -> None:
        """Raises ValueError for nodes that lead out of the arrays or round in circles."""
        self.base, self._roots, self._nodes = float(base), roots, nodes
        self._check()
        self._children = np.stack([nodes.right, nodes.left], axis=1).ravel()
        self._depth = self._deepest()

    def _check(self) -> None:
        nodes, count = self._nodes, len(self._nodes.feature)
        arrays = (nodes.threshold, nodes.left, nodes.right, nodes.value)
        if not 0 < count <= NODES_MAX or any(array.shape != (count,) for array in arrays):
            raise ValueError(f"{count} nodes; allowed: 1 to {NODES_MAX}, arrays of one length")
        own = np.arange(count)
        leaf = (nodes.left == own) & (nodes.right == own)
        for children in (nodes.left, nodes.right):
            # Any node but a leaf leads to those behind it: so every way ends.
            if (children >= count).any() or (children[~leaf] <= own[~leaf]).any():
                raise ValueError("nodes lead to where there is none")
        if not 0 < len(self._roots) <= TREES_MAX:
            raise ValueError(f"{len(self._roots)} trees; allowed: 1 to {TREES_MAX}")
        if self._roots.min() < 0 or self._roots.max() >= count or nodes.feature.min() < 0:
            raise ValueError("a tree has no first node, or a node no feature")

    def _deepest(self) -> int:
        """Steps after which every way from a root has come to a leaf."""
        at, depth = np.unique(self._roots), 0
        while True:
            below = np.unique(np.concatenate([self._nodes.left[at], self._nodes.right[at]]))
            below = below[(self._nodes.left[below] != below) | (self._nodes.right[below] != below)]
            depth += 1
            if len(below) == 0:
                return depth
            if depth > _DEPTH_MAX:
                raise ValueError(f"a tree is deeper than {_DEPTH_MAX}")
            at = below

    @property
    def width(self) -> int:
        """Features that a row must have at least."""
        return int(self._nodes.feature.max()) + 1

    def one(self, row: Values) -> float:
        """Of one row, shape (features,)."""
        nodes, at = self._nodes, self._roots
        if len(nodes.feature) <= _ALL_ASKED_MAX:
            asked = (row.take(nodes.feature) <= nodes.threshold).view(np.int8)
            for _ in range(self._depth):
                at = self._children.take(2 * at + asked.take(at))
        else:
            for _ in range(self._depth):
                left = row.take(nodes.feature.take(at)) <= nodes.threshold.take(at)
                at = self._children.take(2 * at + left)
        return self.base + float(nodes.value.take(at).sum())

    def many(self, rows: Values) -> Values:
        """Of many rows, shape (rows, features) -> (rows,)."""
        total = np.full(len(rows), self.base)
        nodes = self._nodes
        for first in range(0, len(rows), _BLOCK):
            block = rows[first : first + _BLOCK]
            at = np.broadcast_to(self._roots, (len(block), len(self._roots)))
            lines = np.arange(len(block))[:, None]
            for _ in range(self._depth):
                left = block[lines, nodes.feature[at]] <= nodes.threshold[at]
                at = self._children[2 * at + left]
            total[first : first + _BLOCK] += nodes.value[at].sum(axis=1)
        return total

    def save(self) -> dict[str, Any]:
        """JSON, exact."""
        nodes = self._nodes
        arrays = {
            "roots": self._roots,
            "feature": nodes.feature,
            "threshold": nodes.threshold,
            "left": nodes.left,
            "right": nodes.right,
            "value": nodes.value,
        }
        saved = {name: packed(array.astype(np.float64)) for name, array in arrays.items()}
        return {"base": self.base, **saved}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for what it cannot have given."""
        nodes = Nodes(
            _places(state["feature"]),
            unpacked(state["threshold"]),
            _places(state["left"]),
            _places(state["right"]),
            unpacked(state["value"]),
        )
        return cls(float(state["base"]), _places(state["roots"]), nodes)


def _places(state: Mapping[str, Any]) -> Places:
    return unpacked(state).astype(np.int64)


def joined(base: float, trees: Iterable[Nodes]) -> Trees:
    """An ensemble of single trees."""
    each = list(trees)
    starts = np.cumsum([0, *(len(tree.feature) for tree in each)])[:-1]
    shift = np.repeat(starts, [len(tree.feature) for tree in each])
    return Trees(
        base,
        starts.astype(np.int64),
        Nodes(
            np.concatenate([tree.feature for tree in each]).astype(np.int64),
            np.concatenate([tree.threshold for tree in each]).astype(np.float64),
            (np.concatenate([tree.left for tree in each]) + shift).astype(np.int64),
            (np.concatenate([tree.right for tree in each]) + shift).astype(np.int64),
            np.concatenate([tree.value for tree in each]).astype(np.float64),
        ),
    )


def of_forest(model: Any) -> Trees:
    """A fitted `RandomForestRegressor` of one output."""
    count = len(model.estimators_)
    each = []
    for estimator in model.estimators_:
        tree = estimator.tree_
        own = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        each.append(
            Nodes(
                np.where(leaf, 0, tree.feature),
                # Compared as float32 there: the next one below keeps "at most" the same here.
                tree.threshold,
                np.where(leaf, own, tree.children_left),
                np.where(leaf, own, tree.children_right),
                tree.value[:, 0, 0] / count,
            )
        )
    return joined(0.0, each)


def of_hist_boosting(model: Any) -> Trees:
    """A fitted `HistGradientBoostingRegressor` without categories."""
    each = []
    for (tree,) in model._predictors:
        nodes = tree.nodes
        own, leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
        each.append(
            Nodes(
                np.where(leaf, 0, nodes["feature_idx"]),
                np.where(leaf, 0.0, nodes["num_threshold"]),
                np.where(leaf, own, nodes["left"]),
                np.where(leaf, own, nodes["right"]),
                nodes["value"],
            )
        )
    return joined(float(np.ravel(model._baseline_prediction)[0]), each)


def of_lightgbm(model: Mapping[str, Any]) -> Trees:
    """A fitted LightGBM model, as `dump_model` gives it."""
    return joined(0.0, [_of_structure(info["tree_structure"]) for info in model["tree_info"]])


def _of_structure(root: Mapping[str, Any]) -> Nodes:
    """A tree of nested nodes: those of a node come behind it."""
    lines: list[list[float]] = []
    waiting: list[tuple[Mapping[str, Any], int, int]] = [(root, -1, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        own = len(lines)
        if parent >= 0:
            lines[parent][side] = own
        if "split_feature" in node:
            lines.append([node["split_feature"], node["threshold"], own, own, 0.0])
            waiting.append((node["right_child"], own, 3))
            waiting.append((node["left_child"], own, 2))
        else:
            lines.append([0, 0.0, own, own, node["leaf_value"]])
    columns: Sequence[Values] = list(np.asarray(lines, dtype=np.float64).T)
    places = [column.astype(np.int64) for column in (columns[0], columns[2], columns[3])]
    return Nodes(places[0], columns[1], places[1], places[2], columns[4])
