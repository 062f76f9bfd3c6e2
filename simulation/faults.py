"""What is wrong when: the faults of a scenario as questions. Pure."""

from collections.abc import Iterable, Sequence

from simulation.scenario import FaultKind, SimulatedFault


class Faults:
    """Of one run."""

    def __init__(self, faults: Sequence[SimulatedFault]) -> None:
        self._faults = faults

    @property
    def over_at_s(self) -> float:
        """When the last one ends."""
        return max((fault.at_s + fault.for_s for fault in self._faults), default=0.0)

    def active(
        self, kind: FaultKind, now_s: float, region: str | None = None
    ) -> list[SimulatedFault]:
        """Those of a kind that hold now, for everybody or for this region."""
        return [
            fault
            for fault in self._faults
            if fault.kind == kind
            and fault.at_s <= now_s < fault.at_s + fault.for_s
            and (fault.region is None or region is None or fault.region == region)
        ]

    def beginning(self, kind: FaultKind, since_s: float, now_s: float) -> Iterable[SimulatedFault]:
        """Those that began after `since_s`, up to now."""
        return [f for f in self._faults if f.kind == kind and since_s < f.at_s <= now_s]
