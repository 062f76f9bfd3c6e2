"""Parts of all rungs of one encoder put together, frame by frame the same (rule R46)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segmenter.bounds import segment_bytes_max, unmatched_bytes_max
from segmenter.ladder import Ladder
from segmenter.part_cutter import CutPart, PartCutter
from segmenter.part_grid import PartGrid
from surgecast.errors import LocalError

_UNMATCHED_MAX = 32


@dataclass(frozen=True, slots=True)
class CutPartSet:
    """One part of every rung that is encoded, as the encoder wrote it."""

    start_ticks: int
    index: int
    parts: Mapping[str, CutPart]
    inits: Mapping[str, bytes]
    """`ftyp` and `moov` of each rung: the same for all sets of a run."""


class PartMatcher:
    """The bytes of each rung's pipe in, sets of parts out, in order."""

    def __init__(self, ladder: Ladder, grid: PartGrid) -> None:
        self._names = [rung.name for rung in ladder.rungs]
        self._cutters = [PartCutter(grid, segment_bytes_max(ladder, r)) for r in ladder.rungs]
        self._bytes_max = unmatched_bytes_max(ladder)
        self._unmatched: dict[int, dict[str, CutPart]] = {}
        self._inits: dict[str, bytes] = {}

    def feed(self, rung: int, data: bytes) -> list[CutPartSet]:
        """Bytes of the `rung`-th rung. Raises LocalError where they are no use."""
        return self._match(self._names[rung], self._cutters[rung].feed(data))

    def _match(self, name: str, parts: Sequence[CutPart]) -> list[CutPartSet]:
        matched = []
        for part in parts:
            gathered = self._unmatched.setdefault(part.start_ticks, {})
            gathered[name] = part
            if len(gathered) == len(self._names):
                matched.append(self._set(part, gathered))
                # Whatever is older and lacks a rung will lack it for ever.
                for start in [start for start in self._unmatched if start <= part.start_ticks]:
                    del self._unmatched[start]
        self._check_waiting()
        return matched

    def _set(self, part: CutPart, gathered: Mapping[str, CutPart]) -> CutPartSet:
        if any(other.index != part.index for other in gathered.values()):
            raise LocalError("the rungs of one encoder do not start their segments together")
        if not self._inits:
            pairs = zip(self._names, self._cutters, strict=True)
            self._inits = {name: cutter.init or b"" for name, cutter in pairs}
        return CutPartSet(part.start_ticks, part.index, gathered, self._inits)

    def _check_waiting(self) -> None:
        waiting = [part for gathered in self._unmatched.values() for part in gathered.values()]
        if len(self._unmatched) > _UNMATCHED_MAX:
            raise LocalError("the rungs of one encoder do not write their parts together")
        if sum(part.size_bytes for part in waiting) > self._bytes_max:
            raise LocalError(f"parts that wait for other rungs grew beyond {self._bytes_max} bytes")
