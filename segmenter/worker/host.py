"""What the machine of a worker is, as the kernel tells: memory and processor."""

from pathlib import Path

_PROC = Path("/proc")
_MODEL_MAX = 128


def memory_bytes(proc: Path = _PROC) -> tuple[int, int]:
    """All of it, and what can be had without swapping; zeros where that is not known."""
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        fields = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return fields["MemTotal"] * 1024, fields["MemAvailable"] * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return 0, 0


def cpu_model(proc: Path = _PROC) -> str:
    """As it calls itself; empty where it does not."""
    try:
        lines = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "")[:_MODEL_MAX]
