"""Fits that are kept: the same one is not made twice, another one is never taken for it."""

from dataclasses import dataclass

import pytest

from simulation.backtest.fit_store import FitStore
from surgecast.errors import ConfigError
from traffic_manager.forecasting.fits import FitJob, Fitted

RUNS: list[float] = []


@dataclass(frozen=True)
class Job(FitJob):
    """Doubles what it is given, and counts."""

    expert: str
    given: float

    def run(self) -> Fitted:
        RUNS.append(self.given)
        return Fitted(self.expert, {"found": 2 * self.given})


def test_the_same_job_is_run_once_and_another_is_another(tmp_path):
    RUNS.clear()
    first = FitStore(tmp_path / "fits")(Job("one", 0.1))
    again = FitStore(tmp_path / "fits")(Job("one", 0.1))
    assert first == again == Fitted("one", {"found": 0.2})
    assert FitStore(tmp_path / "fits")(Job("one", 0.2)).state == {"found": 0.4}
    assert RUNS == [0.1, 0.2]


def test_a_file_that_is_broken_is_told_of(tmp_path):
    store = FitStore(tmp_path)
    store(Job("one", 1.0))
    next(tmp_path.iterdir()).write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        store(Job("one", 1.0))
