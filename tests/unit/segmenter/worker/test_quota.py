"""What is done where no control group can be made."""

import os
from pathlib import Path

import pytest

from segmenter.worker.cores import CoreLocks
from segmenter.worker.quota import AffinityQuotas, Kind, open_quotas
from surgecast.clock import ManualClock

NOWHERE = Path("/sys/fs/cgroup/there/is/none")


@pytest.mark.parametrize("kind", ["auto", "cgroup"])
def test_the_next_best_is_taken(kind: Kind) -> None:
    quotas = open_quotas(kind, "w", 1.0, parent=NOWHERE)
    assert quotas.kind == "affinity"
    quotas.close()


def test_workers_take_different_cores_while_there_are_any(tmp_path: Path) -> None:
    one, other, third = CoreLocks(tmp_path), CoreLocks(tmp_path), CoreLocks(tmp_path)
    assert one.take([0, 1, 2], 1) == (0,)
    assert other.take([0, 1, 2], 2) == (1, 2)
    assert third.take([0, 1, 2], 1) == (0,), "shared rather than none"
    one.close()
    assert CoreLocks(tmp_path).take([0, 1, 2], 2) == (0, 1)


def test_cores_are_taken_where_no_lock_can_be_had(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert CoreLocks(file / "folder").take([3, 4], 1) == (3,)


def test_tasks_get_the_cores_that_are_least_reserved(tmp_path: Path) -> None:
    quotas = AffinityQuotas(None, ManualClock(), tmp_path)
    quotas.own = (0, 1, 2)
    quotas._shares = dict.fromkeys(quotas.own, 0.0)
    large, small = quotas.task("large", 0.9), quotas.task("small", 0.2)
    third, wide = quotas.task("third", 0.1), quotas.task("wide", 2.0)
    assert [set(t.cpus or ()) for t in (large, small, third, wide)] == [{0}, {1}, {2}, {1, 2}]
    wide.close()
    wide.close()
    large.set_cores(0.1)
    assert set(quotas.task("next", 0.5).cpus or ()) == {0}, "what was given back is free again"
    quotas.close()


def test_all_cores_are_meant_where_no_number_is_given(tmp_path: Path) -> None:
    quotas = AffinityQuotas(None, ManualClock(), tmp_path)
    assert set(quotas.task("t", None).cpus or ()) == os.sched_getaffinity(0)
    quotas.close()
