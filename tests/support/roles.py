"""Real relays and a real manager, each a process on loopback, as `origins` has origins."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.origins import Origin


class Relay(Origin):
    """`surgecast relay`. Its server id is the name of its file."""

    role = "relay"

    def __init__(self, folder: Path, name: str = "relay-1") -> None:
        super().__init__(folder, name)
        self.name = name

    def configure(self, upstreams: Sequence[str], **top: Any) -> None:
        """Write the file; `top` replaces or adds settings."""
        values = {
            "server": {"id": self.name},
            "http": {"host": "127.0.0.1", "port": self.port},
            "upstreams": list(upstreams),
            "log": {"level": "debug"},
            **top,
        }
        self.config.write_text(yaml.safe_dump(values, sort_keys=False))


class Manager(Origin):
    """`surgecast manager`."""

    role = "manager"

    def configure(self, **values: Any) -> None:
        http = {"host": "127.0.0.1", "port": self.port}
        self.config.write_text(yaml.safe_dump({"http": http, **values}, sort_keys=False))


@asynccontextmanager
async def relay(
    folder: Path, upstreams: Sequence[str], name: str = "relay-1", *, ready: bool = True, **top: Any
) -> AsyncIterator[Relay]:
    """A relay that pulls from `upstreams`."""
    running = Relay(folder, name)
    running.configure(upstreams, **top)
    await running.start()
    try:
        await running.serving()
        if ready:
            await running.ready()
        yield running
    finally:
        await running.close()


@asynccontextmanager
async def manager(folder: Path, **values: Any) -> AsyncIterator[Manager]:
    """A manager; the relays it started are ended by its own `close`."""
    running = Manager(folder)
    running.configure(**values)
    await running.start()
    try:
        await running.serving()
        yield running
    finally:
        await running.close()
