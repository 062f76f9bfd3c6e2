"""A long past for models that learn from days of it: one value each slot of the clock. Pure.

`Past` holds what experts need from step to step and begins anew after a gap. A model that is fitted
on weeks must know what time of day it was: here slots are counted from time 0, a gap is filled with
the value before it and remembered as one. Values are kept as float32; the oldest go.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float32]
Marks = NDArray[np.bool_]


class Slots:
    """The last value of each of the latest slots."""

    def __init__(self, slot_s: float, kept: int) -> None:
        self.slot_s = slot_s
        self.kept = kept
        self.total = 0
        """Slots that began so far, those that were dropped included."""
        self._last = 0
        """Number of the latest slot since time 0."""
        self._values: Series = np.zeros(2 * kept, dtype=np.float32)
        self._known: Marks = np.zeros(2 * kept, dtype=np.bool_)
        self._end = 0

    def __len__(self) -> int:
        return min(self._end, self.kept)

    @property
    def first(self) -> int:
        """Number of the oldest slot since time 0."""
        return self._last - len(self) + 1

    def add(self, at_s: float, value: float) -> bool:
        """One sample, later than the last; whether a slot began with it."""
        slot = math.floor(at_s / self.slot_s + 0.5)
        new = slot - self._last if self._end else 1
        if new > self.kept:  # nothing of what is known is near
            self._end, new = 0, 1
        if new > 0:
            held = self._values[self._end - 1] if self._end else 0.0
            self._append(new, held)
            self._last = slot
            self.total += new
        self._values[self._end - 1] = value
        self._known[self._end - 1] = True
        return new > 0

    def values(self) -> Series:
        """Oldest first. A view: not to be kept or changed."""
        return self._values[self._end - len(self) : self._end]

    def known(self) -> Marks:
        """Whether there was a sample in each slot of `values`."""
        return self._known[self._end - len(self) : self._end]

    def _append(self, count: int, value: float) -> None:
        if self._end + count > len(self._values):
            kept = self.kept - count
            for buffer in (self._values, self._known):
                buffer[:kept] = buffer[self._end - kept : self._end].copy()
            self._end = kept
        self._values[self._end : self._end + count] = value
        self._known[self._end : self._end + count] = False
        self._end += count

    def save(self) -> dict[str, Any]:
        """JSON, exact."""
        return {
            "last": self._last,
            "total": self.total,
            "values": text_of(self.values()),
            "known": text_of(np.packbits(self.known())),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave. Raises ValueError where there is more of it than is kept."""
        values = array_of(state["values"], "<f4")
        if len(values) > self.kept:
            raise ValueError(f"{len(values)} values were saved; allowed: up to {self.kept}")
        known = np.unpackbits(array_of(state["known"], "u1"), count=len(values))
        self._end = len(values)
        self._values[: self._end] = values
        self._known[: self._end] = known
        self._last, self.total = int(state["last"]), int(state["total"])


def text_of(array: NDArray[Any]) -> str:
    """The bytes of an array, little-endian, as text for JSON."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def array_of(text: str, dtype: str) -> NDArray[Any]:
    """What `text_of` made of an array of that type."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype)
