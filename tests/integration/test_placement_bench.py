"""Real tasks under real quotas: a worker type is a CPU quota, and so it is measured."""

from pathlib import Path

import pytest

from segmenter.worker.quota import open_quotas
from simulation.evaluate.placement import measuring
from simulation.evaluate.placement.grid import Loaded
from simulation.evaluate.placement.traces import Worker
from tests.support.placement_bench import SETTINGS

SMALL = SETTINGS.model_copy(
    update={
        "source": SETTINGS.source.model_copy(update={"width": 320, "height": 180, "duration_s": 2}),
        "sampling": SETTINGS.sampling.model_copy(update={"settle_s": 1.0, "cpu_min": 0.0}),
    }
)


def test_tasks_run_under_the_quota_of_their_worker(tmp_path: Path) -> None:
    """Two tasks: one with a core to itself, one with so little that it must fall behind."""
    quotas = open_quotas("cgroup", "bench-test", 0.1)
    kind = quotas.kind
    quotas.close()
    if kind != "cgroup":
        pytest.skip("no control group with a CPU quota can be made here")
    bench = measuring.ready(SMALL, tmp_path)
    wide, narrow = Worker("wide", 1.0), Worker("narrow", 0.005)
    loads = [Loaded(wide, ("144p",)), Loaded(narrow, ("144p",))]
    found = {one.worker: one for one in measuring.measure(bench, loads, {}, 2.0)}
    assert found["narrow"].cpu_cores < 0.02
    assert found["narrow"].speed_min < 0.7
    assert found["wide"].speed_min > found["narrow"].speed_min
    assert found["wide"].cpu_cores > found["narrow"].cpu_cores
