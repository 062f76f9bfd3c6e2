"""Memory of a worker: that of the machine, or less where its control group has a limit."""

from pathlib import Path

import pytest

from segmenter.worker.cgroups import Mounts
from segmenter.worker.host import memory_bytes

MEMINFO = "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable: 6000 kB\n"
KB = 1024


def mounts(folder: Path, own: str, group: str, files: dict[str, str]) -> Mounts:
    """A machine of 8,000 kB with 6,000 left, and a control group with these files."""
    proc, place = folder / "proc", folder / "cgroup" / group
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self" / "cgroup").write_text(own)
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / f"memory.{name}").write_text(text)
    return Mounts(proc, folder / "cgroup")


def version_2(limit: str, used: int = 1000) -> dict[str, str]:
    stat = f"anon 1\ninactive_file {200 * KB}\n"
    return {"max": f"{limit}\n", "current": f"{used * KB}\n", "stat": stat}


def version_1(limit: int, used: int = 1000) -> dict[str, str]:
    stat = f"cache 1\ntotal_inactive_file {200 * KB}\n"
    return {"limit_in_bytes": f"{limit}", "usage_in_bytes": f"{used * KB}", "stat": stat}


V2, V1 = "0::/\n", "4:memory:/a/b\n0::/\n"


@pytest.mark.parametrize(
    ("own", "group", "files", "expected"),
    [
        (V2, ".", version_2("max"), (8000, 6000)),
        (V2, ".", version_2(str(4000 * KB)), (4000, 3200)),
        # The machine has less left than the group may take.
        (V2, ".", version_2(str(7900 * KB), used=300), (7900, 6000)),
        (V2, ".", version_2(str(4000 * KB), used=9000), (4000, 0)),
        (V2, ".", version_2(str(90000 * KB)), (8000, 6000)),
        (V1, "memory/a/b", version_1(4000 * KB), (4000, 3200)),
        (V1, "memory/a/b", version_1(2**63 - 4096), (8000, 6000)),
        # Seen from a container: its own group is mounted at the top.
        (V1, "memory", version_1(4000 * KB), (4000, 3200)),
        (V2, ".", {}, (8000, 6000)),
        (V2, ".", {"max": "4000", "current": "x", "stat": ""}, (8000, 6000)),
        ("nonsense\n", ".", version_2("4000"), (8000, 6000)),
    ],
)
def test_the_limit_of_the_group_counts(
    tmp_path: Path, own: str, group: str, files: dict[str, str], expected: tuple[int, int]
) -> None:
    found = memory_bytes(mounts(tmp_path, own, group, files))
    assert found == (expected[0] * KB, expected[1] * KB)


def test_where_nothing_is_known_it_is_nothing(tmp_path: Path) -> None:
    assert memory_bytes(Mounts(tmp_path, tmp_path)) == (0, 0)
