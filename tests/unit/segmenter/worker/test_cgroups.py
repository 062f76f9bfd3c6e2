"""Version 2 of the kernel's interface, on files that stand for it: this machine may have the other.
Version 1 is tested on the kernel itself (tests/contracts/test_quotas.py)."""

from pathlib import Path

import pytest

from segmenter.worker.cgroups import CgroupQuotas, Mounts, is_orphan
from surgecast.errors import LocalError

NAMESPACE = Path("/proc/self/ns/pid").stat().st_ino


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    """A machine with version 2, whose group hands `cpu` down."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self" / "ns").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("0::/box\n")
    (proc / "self" / "ns" / "pid").write_text("")
    (cgroups / "box").mkdir(parents=True)
    (cgroups / "box" / "cgroup.controllers").write_text("cpu memory\n")
    (cgroups / "box" / "cgroup.subtree_control").write_text("cpu\n")
    return Mounts(proc, cgroups)


def test_quotas_are_written_in_the_words_of_version_2(
    mounts: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path.mkdir

    def mkdir(self: Path, **kwargs: bool) -> None:
        new = not self.exists()
        made(self, **kwargs)
        if new:
            for file in ("cpu.max", "cgroup.procs", "cgroup.subtree_control"):
                (self / file).write_text("")
            (self / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    quotas = CgroupQuotas("w", 0.75, mounts=mounts)
    group = mounts.cgroups / "box" / quotas.name
    task = quotas.task("t", 0.25)
    assert (group / "cpu.max").read_text() == "75000 100000"
    assert (group / "cgroup.subtree_control").read_text() == "+cpu"
    assert (group / "1.t" / "cpu.max").read_text() == "25000 100000"
    task.set_cores(4.0)
    assert task.cores == 0.75, "no more than the worker has"
    assert task.cpu_s() == 1.5


def test_a_group_without_the_cpu_controller_is_said(mounts: Mounts) -> None:
    (mounts.cgroups / "box" / "cgroup.controllers").write_text("memory\n")
    with pytest.raises(LocalError, match="no cpu controller"):
        CgroupQuotas("w", 1.0, mounts=mounts)


@pytest.mark.parametrize(
    ("name", "orphan"),
    [
        (f"surgecast-worker.a.b.{NAMESPACE}.999999999.5", True),
        (f"surgecast-worker.a.{NAMESPACE}.999999999.5.self", True),
        (f"surgecast-worker.a.{NAMESPACE}.1.1", True),  # another process has its number now
        ("surgecast-worker.a.12345.999999999.5", False),  # of another container
        ("surgecast-worker.a", False),
        ("surgecast-worker.a.x.y.z", False),
    ],
)
def test_only_a_group_whose_owner_is_surely_gone_is_an_orphan(name: str, orphan: bool) -> None:
    assert is_orphan(name, Path("/proc")) is orphan
