"""What a check has found and how much it has looked at."""

from collections import Counter
from collections.abc import Iterable

from surgecast.hls.observation import Finding
from surgecast.hls.rulebook import Look

FINDINGS_MAX = 1000
ROUND_TRIPS_MAX = 10_000


class Notebook:
    """Findings, each once with how often it was found, and counts of what was looked at."""

    def __init__(self) -> None:
        self.findings: dict[Finding, int] = {}
        self.looks: Counter[str] = Counter()
        self.round_trips_s: list[float] = []

    def add(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if finding in self.findings:
                self.findings[finding] += 1
            elif len(self.findings) < FINDINGS_MAX:
                self.findings[finding] = 1

    def count(self, *looks: Look, times: int = 1) -> None:
        for look in looks if times else ():
            self.looks[look.value] += times

    def round_trip(self, seconds: float) -> None:
        """How long an answer took that no server has a reason to hold back."""
        if len(self.round_trips_s) < ROUND_TRIPS_MAX:
            self.round_trips_s.append(seconds)
