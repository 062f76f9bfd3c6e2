"""What the machine of a worker is, as the kernel tells: memory and processor."""

from pathlib import Path

from segmenter.worker.cgroups import Mounts, own_groups

_PROC = Path("/proc")
_MOUNTS = Mounts()
_MODEL_MAX = 128


def memory_bytes(mounts: Mounts = _MOUNTS) -> tuple[int, int]:
    """All that may be used, and what of it can be had without swapping; zeros where that is not
    known. The limit of our control group counts: what goes over it is ended by the kernel."""
    total, free = _of_machine(mounts.proc)
    limit, used = _of_group(mounts)
    if limit and (limit < total or not total):
        left = max(0, limit - used)
        return limit, min(free, left) if total else left
    return total, free


def _of_machine(proc: Path) -> tuple[int, int]:
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        fields = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return fields["MemTotal"] * 1024, fields["MemAvailable"] * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return 0, 0


def _of_group(mounts: Mounts) -> tuple[int, int]:
    """Limit, and what is in use for good; a limit of zero where there is none."""
    try:
        groups = own_groups(mounts)
        if "memory" in groups:
            folder, limit, usage = groups["memory"], "limit_in_bytes", "usage_in_bytes"
            gone = "total_inactive_file"
        else:
            folder, limit, usage, gone = groups[""], "max", "current", "inactive_file"
        text, used, stat = (
            (folder / f"memory.{name}").read_text(encoding="ascii")
            for name in (limit, usage, "stat")
        )
        counts = dict(line.split() for line in stat.splitlines())
        # Files that were read are kept while there is room, and given up when there is none.
        return int(text), max(0, int(used) - int(counts[gone]))
    except (OSError, ValueError, KeyError):
        return 0, 0


def cpu_model(proc: Path = _PROC) -> str:
    """As it calls itself; empty where it does not."""
    try:
        lines = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "")[:_MODEL_MAX]
