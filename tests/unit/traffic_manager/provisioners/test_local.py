"""Relays as child processes: ports, last words, no orphans, what a crash of the manager leaves."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from edge_relay.settings import RelaySettings
from surgecast.config import load
from surgecast.delivery.sessions.tokens import AccessSettings, KeySettings
from surgecast.errors import LocalError
from tests.support.ports import free_port
from tests.support.provisioners import LocalHarness, ManagerEar, alive, gone
from traffic_manager.provisioners.base import ProvisionFailed, RelayOrder
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.local import LocalProvisioner
from traffic_manager.provisioners.settings import LocalSettings

WAIT_S = 60.0
SLEEPER = (sys.executable, "-c", "import signal; signal.pause()")
ENROLMENT = Enrolment("http://127.0.0.1:8090")

MANAGER = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[4])!r})
from traffic_manager.provisioners.base import RelayOrder
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.local import LocalProvisioner
from traffic_manager.provisioners.settings import LocalSettings

async def main():
    settings = LocalSettings(
        state_dir=Path(sys.argv[1]), outlive_manager=sys.argv[2] == "True",
        ports_first=int(sys.argv[3]), ports_last=int(sys.argv[3]),
    )
    provisioner = LocalProvisioner(settings, Enrolment("http://127.0.0.1:8090"), {SLEEPER!r})
    instance = await provisioner.start(RelayOrder("b-1", "b", ()))
    print(instance.detail.split()[-1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[LocalHarness]:
    ear = ManagerEar()
    async with ear.listening():
        yield LocalHarness(tmp_path, ear)


def order(server: str) -> RelayOrder:
    return RelayOrder(server, "b", ())


def local(folder: Path, first: int, last: int, **more: object) -> LocalProvisioner:
    settings = LocalSettings.model_validate(
        {"state_dir": folder, "ports_first": first, "ports_last": last, **more}
    )
    return LocalProvisioner(settings, ENROLMENT, SLEEPER)


async def manager_that_is_killed(folder: Path, *, outlive: bool) -> int:
    """The pid of a relay whose manager was killed without a word."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MANAGER, str(folder), str(outlive), str(free_port())),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    assert alive(pid)
    process.kill()
    await process.wait()
    return pid


async def test_the_range_of_ports_bounds_the_relays(tmp_path: Path) -> None:
    port = free_port()
    provisioner = local(tmp_path, port, port)
    await provisioner.start(order("b-1"))
    with pytest.raises(ProvisionFailed, match=f"ports_first {port} to ports_last {port}"):
        await provisioner.start(order("b-2"))
    assert len(await provisioner.list()) == 1, "a failed start leaves nothing behind"
    await provisioner.stop("b-1")
    assert (await provisioner.start(order("b-3"))).url == f"http://127.0.0.1:{port}"
    await provisioner.stop("b-3")
    await provisioner.close()


async def test_what_is_written_is_what_a_relay_reads(tmp_path: Path) -> None:
    """The two meet in a file; neither imports the other."""
    port = free_port()
    keys = AccessSettings(keys=(KeySettings(id="A", secret=SecretStr("k" * 16)),))
    enrolment = Enrolment("http://127.0.0.1:8090", "t" * 16, keys)
    more = {"log": {"level": "debug"}}
    settings = LocalSettings(state_dir=tmp_path, ports_first=port, ports_last=port, relay=more)
    provisioner = LocalProvisioner(settings, enrolment, SLEEPER)
    instance = await provisioner.start(RelayOrder("b-1", "b", ("http://o.example",), ("demo",)))
    read = load(tmp_path / "b-1.yaml", RelaySettings, enrolment.environment())
    await provisioner.stop("b-1")
    await provisioner.close()
    assert (read.server.id, read.server.region, read.server.public_url) == (
        *("b-1", "b"),
        instance.url,
    )
    assert (read.http.host, read.http.port, read.log.level) == ("127.0.0.1", port, "debug")
    assert (read.upstreams, read.prewarm) == (("http://o.example",), ("demo",))
    assert (read.control.manager, read.control.token) == (enrolment.manager_url, "t" * 16)
    assert read.access == keys


async def test_a_program_that_is_missing_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_port()
    settings = LocalSettings(state_dir=tmp_path, ports_first=port, ports_last=port)
    provisioner = LocalProvisioner(settings, ENROLMENT, ["/nowhere/relay"])
    with pytest.raises(ProvisionFailed, match="b-1: cannot be started"):
        await provisioner.start(order("b-1"))
    assert await provisioner.list() == []
    assert not os.listdir(tmp_path)
    await provisioner.close()


async def test_a_relay_that_ends_at_once_is_told_with_its_last_words(harness: LocalHarness) -> None:
    harness.behave = "ends"
    provisioner = harness.manager()
    instance = await provisioner.start(harness.order())
    if instance.running:
        assert await gone(int(instance.detail.split()[-1]))
    (ended,) = await provisioner.list()
    assert not ended.running
    assert "exit status 3" in ended.detail and "ladder: no such thing" in ended.detail
    await provisioner.stop("b-1")
    await provisioner.close()


async def test_without_a_manager_nothing_is_left_where_that_is_asked_for(tmp_path: Path) -> None:
    pid = await manager_that_is_killed(tmp_path, outlive=False)
    assert await gone(pid)


async def test_relays_outlive_a_killed_manager_and_are_adopted(tmp_path: Path) -> None:
    pid = await manager_that_is_killed(tmp_path, outlive=True)
    provisioner = local(tmp_path, 20_000, 31_999)
    (instance,) = await provisioner.list()
    assert instance.running and instance.detail == f"process {pid}"
    await provisioner.stop("b-1")
    assert await gone(pid)
    await provisioner.close()


async def test_a_relay_started_while_the_manager_was_killed_is_found(tmp_path: Path) -> None:
    """Between the start of the process and the note of its pid."""
    pid = await manager_that_is_killed(tmp_path, outlive=True)
    note = tmp_path / "b-1.json"
    forgotten = {**json.loads(note.read_text()), "pid": None, "start_ticks": None, "boot_id": None}
    note.write_text(json.dumps(forgotten))
    provisioner = local(tmp_path, 20_000, 31_999)
    (instance,) = await provisioner.list()
    assert instance.detail == f"process {pid}"
    await provisioner.stop("b-1")
    assert await gone(pid)
    await provisioner.close()


@pytest.mark.parametrize("other", ["start_ticks", "boot_id"])
async def test_another_process_under_the_same_pid_is_left_alone(tmp_path: Path, other: str) -> None:
    pid = await manager_that_is_killed(tmp_path, outlive=True)
    try:
        note = tmp_path / "b-1.json"
        record = json.loads(note.read_text())
        record[other] = 1 if other == "start_ticks" else "another boot"
        note.write_text(json.dumps(record))
        provisioner = local(tmp_path, 20_000, 31_999)
        (instance,) = await provisioner.list()
        assert not instance.running
        await provisioner.stop("b-1")
        await provisioner.close()
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_a_damaged_record_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "b-1.json").write_text('{"server": "b-1", "region": "b", "pid": "many"}')
    (tmp_path / "b-2.json").write_text('{"server": "../b-3", "region": "b"}')
    provisioner = local(tmp_path, 20_000, 31_999)
    assert await provisioner.list() == []
    await provisioner.close()


async def test_close_ends_relays_that_do_not_outlive_the_manager(tmp_path: Path) -> None:
    port = free_port()
    provisioner = local(tmp_path, port, port, outlive_manager=False)
    pid = int((await provisioner.start(order("b-1"))).detail.split()[-1])
    await provisioner.close()
    assert await gone(pid)


async def test_the_output_that_is_kept_is_bounded(tmp_path: Path) -> None:
    port = free_port()
    provisioner = local(tmp_path, port, port, log_bytes_max=100)
    await provisioner.start(order("b-1"))
    log = tmp_path / "b-1.log"
    log.write_text("x" * 101)
    await provisioner.list()
    assert log.stat().st_size == 0
    await provisioner.stop("b-1")
    await provisioner.close()


async def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="file"):
        local(tmp_path / "file" / "relays", 20_000, 20_001)
