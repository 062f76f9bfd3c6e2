"""Recorded encodes to judge predictors on, as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from traffic_manager.placement.costs.predictors.base import Table

Places = NDArray[np.int64]

RANDOM = "random"
"""Folds by no group at all: rows of one video are then learned from and judged."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Rows with what they cost, and how they belong together."""

    name: str
    target: str
    """What is predicted, in words."""
    table: Table
    groups: Mapping[str, Places]
    """Group of each row, by what groups are: video, machine. The first is the usual one."""
    notes: tuple[str, ...] = field(default=())
    """What was left out, and why."""

    @property
    def usual(self) -> str:
        return next(iter(self.groups))

    @property
    def ways(self) -> tuple[str, ...]:
        """In which it can be folded."""
        return (*self.groups, RANDOM)


def numbered(names: list[str]) -> Places:
    """Groups by name as numbers."""
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def folds(groups: Places | None, rows: int, count: int, seed: int) -> list[Places]:
    """Rows to judge on, fold by fold: whole groups, or any rows where there are none.

    `count` 0 leaves out one group at a time.
    """
    generator = np.random.default_rng(seed)
    groups = np.arange(rows) if groups is None else groups
    names = np.unique(groups)
    count = len(names) if count == 0 else min(count, len(names))
    fold_of = np.empty(len(names), dtype=np.int64)
    fold_of[generator.permutation(len(names))] = np.arange(len(names)) % count
    fold = fold_of[np.searchsorted(names, groups)]
    return [np.flatnonzero(fold == number) for number in range(count)]
