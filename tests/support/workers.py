"""Real workers, each a process, as `origins` has origins."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from segmenter.worker.quota import open_quotas
from tests.support.origins import Origin, until

_CGROUPS = Path("/sys/fs/cgroup")


class Worker(Origin):
    """`surgecast segment --worker`. Its id is the name of its file."""

    role = "segment"
    flags = ("--worker",)

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self.name = name

    def configure(self, manager: str, **top: Any) -> None:
        values = {
            "worker": {"id": self.name},
            "control": {"manager": manager, "report_every_s": 0.2},
            "metrics": {"port": self.port},
            **top,
        }
        self.config.write_text(yaml.safe_dump(values, sort_keys=False))

    async def ask_to_end(self) -> None:
        """SIGTERM; it may take its time."""
        await self._signal(signal.SIGTERM)

    def encoders(self) -> list[int]:
        """Its FFmpegs, probes excepted."""
        return [pid for pid, line in self.children().items() if "tee" in line]


@asynccontextmanager
async def worker(folder: Path, manager: str, name: str, **top: Any) -> AsyncIterator[Worker]:
    """A worker of the manager at that URL."""
    running = Worker(folder, name)
    running.configure(manager, **top)
    await running.start()
    try:
        await running.logged("working")
        yield running
    finally:
        await running.close()
        await until(swept, f"the end of {groups_of(name)}")


async def swept() -> bool:
    """What killed workers left is removed, as the next worker would."""
    quotas = open_quotas("auto", "sweeper", None)
    try:
        return not quotas.sweep()
    finally:
        quotas.close()


def groups_of(name: str) -> list[Path]:
    """Control groups of a worker, wherever they are."""
    return sorted(_CGROUPS.glob(f"**/surgecast-worker.{name}.*"))


def groups_with(pid: int) -> str:
    """The control groups of a process, as the kernel lists them; empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    return ""


def runs(pid: int) -> bool:
    """A zombie, whose new parent has not looked yet, has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
