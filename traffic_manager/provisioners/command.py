"""Relays started, looked at and ended by commands of the operator: over ssh, by a cloud's tool.

Programs are run as they are, without a shell, and for a bounded time. Their output goes to a file,
not a pipe: what a start command leaves running in the background may keep its output open.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surgecast.log import Log
from surgecast.supervise import die_with_parent
from traffic_manager.provisioners.base import Instance, ProvisionFailed, RelayOrder, last_words
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.ledger import Ledger, Record
from traffic_manager.provisioners.settings import CommandSettings, fill
from traffic_manager.provisioners.turns import Turns

_CANNOT_TELL = 255
_TAIL_BYTES = 8192

_log = Log("surgecast.provisioners.command")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a command ended; no status where it ran out of time."""

    status: int | None
    output: str

    def __str__(self) -> str:
        how = "ran out of time" if self.status is None else f"ended with status {self.status}"
        return f"{how}: {self.output or 'no output'}"


class CommandProvisioner:
    """Runs the operator's templates."""

    def __init__(self, settings: CommandSettings, enrolment: Enrolment) -> None:
        """Raises LocalError if the folder is in use."""
        self._settings = settings
        self._enrolment = enrolment
        self._ledger = Ledger(settings.state_dir.absolute())
        self._records = {record.server: record for record in self._ledger}
        self._turns = Turns()
        self._places = asyncio.Semaphore(settings.commands_max)

    async def start(self, order: RelayOrder) -> Instance:
        async with self._turns.of(order.server):
            known = self._records.get(order.server)
            if known is not None:
                return await self._look(known)
            record = self._record(order)
            self._ledger.put(record)
            self._records[order.server] = record
            try:
                await self._start(order, record)
            except BaseException:
                await self._undo(record)
                raise
            _log.info("relay started", server=order.server, region=order.region)
            return Instance(record.server, True, record.url, "started by command")

    async def stop(self, server: str) -> None:
        async with self._turns.of(server):
            record = self._records.get(server)
            if record is not None:
                await self._stop(record)

    async def list(self) -> Sequence[Instance]:
        return await asyncio.gather(*map(self._look, list(self._records.values())))

    async def close(self) -> None:
        """Relays go on; the next manager finds them in the ledger."""
        self._ledger.close()

    def _record(self, order: RelayOrder) -> Record:
        names = {"server": order.server, "region": order.region}
        url = fill(self._settings.url, names) if self._settings.url is not None else None
        return Record(order.server, order.region, url)

    async def _start(self, order: RelayOrder, record: Record) -> None:
        names = {
            **_names(record),
            "manager": self._enrolment.manager_url,
            "upstreams": ",".join(order.upstreams),
            "channels": ",".join(order.channels),
        }
        settings = self._settings
        outcome = await self._run(settings.start, names, settings.start_timeout_s)
        if outcome.status != 0:
            raise ProvisionFailed(f"{order.server}: the start command {outcome}")
        await self._appears(record)

    async def _appears(self, record: Record) -> None:
        """Wait, bounded, until the probe says it runs: a command can end well and do nothing."""
        outcome = _Outcome(None, "")
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                while True:
                    outcome = await self._probe(record)
                    if outcome.status == 0:
                        return
                    await asyncio.sleep(self._settings.probe_every_s)
        except TimeoutError as error:
            raise ProvisionFailed(
                f"{record.server}: the start command ended well, but nothing runs "
                f"{self._settings.start_timeout_s:g} s after it; the probe {outcome}"
            ) from error

    async def _undo(self, record: Record) -> None:
        """End what a failed start may have left. What cannot be ended stays on record."""
        try:
            await self._stop(record)
        except ProvisionFailed as error:
            _log.error("failed start not undone", server=record.server, error=str(error))

    async def _stop(self, record: Record) -> None:
        outcome = await self._run(
            self._settings.stop, _names(record), self._settings.stop_timeout_s
        )
        if outcome.status != 0:
            raise ProvisionFailed(f"{record.server}: the stop command {outcome}")
        self._records.pop(record.server, None)
        self._ledger.remove(record.server)

    async def _look(self, record: Record) -> Instance:
        outcome = await self._probe(record)
        cannot_tell = outcome.status in (None, _CANNOT_TELL)
        detail = f"the probe {outcome}" if outcome.status != 0 else "the probe says it runs"
        return Instance(record.server, outcome.status == 0 or cannot_tell, record.url, detail)

    async def _probe(self, record: Record) -> _Outcome:
        timeout_s = self._settings.probe_timeout_s
        return await self._run(self._settings.probe, _names(record), timeout_s)

    async def _run(
        self, templates: Sequence[str], names: Mapping[str, str], timeout_s: float
    ) -> _Outcome:
        argv = [fill(template, names) for template in templates]
        async with self._places:
            with tempfile.TemporaryFile() as output:
                status = await self._status(argv, output.fileno(), timeout_s)
                output.seek(max(0, output.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return _Outcome(status, last_words(output.read().decode("utf-8", "replace")))

    async def _status(self, argv: Sequence[str], output: int, timeout_s: float) -> int | None:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self._enrolment.environment()},
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid()),
            )
        except OSError as error:
            raise ProvisionFailed(f"cannot run {argv[0]}: {error}") from error
        try:
            async with asyncio.timeout(timeout_s):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _names(record: Record) -> dict[str, str]:
    return {"server": record.server, "region": record.region, "url": record.url or ""}
