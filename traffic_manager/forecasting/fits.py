"""What is fitted outside: work of seconds that must not hold up a tick. Pure.

An expert that learns a model from days of history says when it wants a new one (`wanted_fit`). The
job holds all it needs and can go to another process; what it gives comes back through `fitted`. A
manager runs jobs in a process of their own (`traffic_manager.fitting`), backtest and digital twin
at the moment they are wanted.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a job found, for the expert that wanted it."""

    expert: str
    """Its kind."""
    state: Mapping[str, Any]
    """JSON: numbers and text, nothing that would have to be trusted when it is read from disk."""


class FitJob(ABC):
    """One fit: picklable, and the same result wherever it runs."""

    expert: str

    @abstractmethod
    def run(self) -> Fitted:
        """Pure computation, of seconds. Raises whatever the library does."""
