"""Relays as child processes of this machine.

Each has a port from a range and a configuration file in a private folder; its output goes to a file
beside it. By default relays outlive the manager, because viewers watch through them: the next
manager finds them in the ledger and goes on with them as if they were its own. With
`outlive_manager: false` the kernel ends them with the manager, whatever ended that.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.supervise import die_with_parent
from traffic_manager.provisioners.base import Instance, ProvisionFailed, RelayOrder, last_words
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.ledger import Ledger, Record, write_private
from traffic_manager.provisioners.process import Process, boot_id, pid_with_argument, start_ticks
from traffic_manager.provisioners.settings import LocalSettings, fill
from traffic_manager.provisioners.turns import Turns

_KILLED_S = 10.0
"""A killed process may hang in the kernel for a while."""
_TAIL_BYTES = 8192

_log = Log("surgecast.provisioners.local")


@dataclass(slots=True)
class _Running:
    """One instance and its process; no process where it ended while nobody looked."""

    record: Record
    process: Process | None
    child: subprocess.Popen[bytes] | None = None
    """If it is a child of ours, to reap it and learn its exit status."""


class LocalProvisioner:
    """Starts `python -m edge_relay`, or `command` in its place."""

    def __init__(
        self,
        settings: LocalSettings,
        enrolment: Enrolment,
        command: Sequence[str] = (sys.executable, "-m", "edge_relay"),
    ) -> None:
        """Finds what a former manager started. Raises LocalError if the folder is in use."""
        self._settings = settings
        self._enrolment = enrolment
        self._command = tuple(command)
        self._ledger = Ledger(settings.state_dir.absolute())
        self._running = {record.server: self._adopted(record) for record in self._ledger}
        self._turns = Turns()

    async def start(self, order: RelayOrder) -> Instance:
        async with self._turns.of(order.server):
            known = self._running.get(order.server)
            if known is None:
                known = self._start(order)
            return self._instance(known)

    async def stop(self, server: str) -> None:
        async with self._turns.of(server):
            known = self._running.get(server)
            if known is None:
                return
            if known.process is not None:
                grace_s = self._settings.stop_grace_s
                if not await known.process.stop(grace_s, _KILLED_S):
                    raise ProvisionFailed(f"{server}: process {known.process.pid} does not end")
            self._forget(known)

    async def list(self) -> Sequence[Instance]:
        for known in self._running.values():
            self._bound_log(known.record.server)
        return [self._instance(known) for known in self._running.values()]

    async def close(self) -> None:
        if not self._settings.outlive_manager:
            await asyncio.gather(*map(self.stop, list(self._running)))
        for known in self._running.values():
            _let_go(known)
        self._ledger.close()

    def _start(self, order: RelayOrder) -> _Running:
        port = self._free_port()
        names = {"host": self._settings.host, "port": str(port)}
        names |= {"server": order.server, "region": order.region}
        url = fill(self._settings.public_url, names)
        record = Record(order.server, order.region, url, port)
        try:
            self._ledger.put(record)
            config = self._ledger.path(order.server, "yaml")
            write_private(config, yaml.safe_dump(self._relay_settings(order, record)))
            child = self._spawn(config)
        except (OSError, LocalError) as error:
            self._ledger.remove(order.server)
            raise ProvisionFailed(f"{order.server}: cannot be started: {error}") from error
        process = Process.hold(child.pid)
        if process is not None:
            ticks = process.start_ticks
            record = replace(record, pid=child.pid, start_ticks=ticks, boot_id=boot_id())
            self._ledger.put(record)
        running = self._running[order.server] = _Running(record, process, child)
        _log.info("relay started", server=order.server, pid=child.pid, url=url)
        return running

    def _spawn(self, config: Path) -> "subprocess.Popen[bytes]":
        """The relay. Not by asyncio, which kills its children when it is closed."""
        stays = self._settings.outlive_manager
        arrange: Callable[[], None] | None = None if stays else die_with_parent(os.getpid())
        with open(config.with_suffix(".log"), "ab") as output:
            return subprocess.Popen(
                [*self._command, "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self._enrolment.environment()},
                start_new_session=True,
                preexec_fn=arrange,
            )

    def _relay_settings(self, order: RelayOrder, record: Record) -> dict[str, Any]:
        server = {"id": order.server, "region": order.region, "public_url": record.url}
        return {
            **self._settings.relay,
            "server": server,
            "http": {"host": self._settings.host, "port": record.port},
            "upstreams": list(order.upstreams),
            "prewarm": list(order.channels),
            **self._enrolment.settings(),
        }

    def _free_port(self) -> int:
        taken = {known.record.port for known in self._running.values()}
        first, last = self._settings.ports_first, self._settings.ports_last
        for port in range(first, last + 1):
            if port not in taken and _bindable(self._settings.host, port):
                return port
        raise ProvisionFailed(
            f"no port is free from ports_first {first} to ports_last {last}; "
            f"{len(self._running)} relays have one"
        )

    def _adopted(self, record: Record) -> _Running:
        """What is left of an instance of a former manager."""
        pid, ticks = record.pid, record.start_ticks
        if pid is None:  # the manager died between putting it on record and noting the process
            pid = pid_with_argument(str(self._ledger.path(record.server, "yaml")))
            ticks = start_ticks(pid) if pid is not None else None
            record = replace(record, pid=pid, start_ticks=ticks, boot_id=boot_id())
            self._ledger.put(record)
        same_boot = record.boot_id == boot_id()
        process = Process.hold(pid, ticks) if pid and same_boot else None
        _log.info("relay of a former manager", server=record.server, running=process is not None)
        return _Running(record, process)

    def _instance(self, known: _Running) -> Instance:
        record = known.record
        if known.process is not None and known.process.running:
            return Instance(record.server, True, record.url, f"process {known.process.pid}")
        status = "ended" if known.child is None else f"ended, {_status(known.child)}"
        words = last_words(self._tail(record.server))
        return Instance(record.server, False, record.url, f"{status}: {words or 'no output'}")

    def _tail(self, server: str) -> str:
        try:
            with open(self._ledger.path(server, "log"), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _bound_log(self, server: str) -> None:
        """The relay appends, so its next line goes to the start of the emptied file."""
        path = self._ledger.path(server, "log")
        with contextlib.suppress(OSError):
            if path.stat().st_size > self._settings.log_bytes_max:
                os.truncate(path, 0)

    def _forget(self, known: _Running) -> None:
        _let_go(known)
        del self._running[known.record.server]
        self._ledger.remove(known.record.server)


def _let_go(known: _Running) -> None:
    """Free what is held of a process, whether it still runs or not."""
    if known.process is not None:
        known.process.close()
    if known.child is not None and known.child.poll() is None:
        known.child.returncode = 0  # it is meant to go on: nothing to warn of


def _status(child: "subprocess.Popen[bytes]") -> str:
    status = child.poll()
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _bindable(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
