"""Commands that do nothing, refuse, hang or lie; every wait is bounded and says what was seen."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.provisioners import CommandHarness, ManagerEar, alive, gone
from traffic_manager.provisioners.base import LAST_WORDS_MAX, ProvisionFailed
from traffic_manager.provisioners.command import CommandProvisioner
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.settings import CommandSettings

SHORT_S = 2.0
ENROLMENT = Enrolment("http://127.0.0.1:8090")


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[CommandHarness]:
    ear = ManagerEar()
    async with ear.listening():
        yield CommandHarness(tmp_path, ear)


def commands(folder: Path, **more: object) -> CommandProvisioner:
    values = {"kind": "command", "start": ["true"], "probe": ["true"], "stop": ["true"]}
    settings = CommandSettings.model_validate(
        {**values, "state_dir": folder, "probe_every_s": 0.01, **more}
    )
    return CommandProvisioner(settings, ENROLMENT)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code.replace("{", "{{").replace("}", "}}")]


async def test_a_start_that_starts_nothing_is_noticed(tmp_path: Path) -> None:
    provisioner = commands(tmp_path, probe=["false"], start_timeout_s=SHORT_S)
    with pytest.raises(ProvisionFailed, match="ended well, but nothing runs 2 s after"):
        await provisioner.start(CommandHarness.order())
    assert await provisioner.list() == []
    await provisioner.close()


async def test_a_refusal_is_told_in_the_words_of_the_command(harness: CommandHarness) -> None:
    harness.behave = "refuses"
    provisioner = harness.manager()
    with pytest.raises(ProvisionFailed, match="status 1: quota of machines exceeded"):
        await provisioner.start(harness.order())
    assert await provisioner.list() == []
    await provisioner.close()


async def test_a_long_output_is_cut_to_its_end(tmp_path: Path) -> None:
    start = python("print('x' * 100_000 + 'the end'); raise SystemExit(1)")
    provisioner = commands(tmp_path, start=start)
    with pytest.raises(ProvisionFailed, match="the end") as caught:
        await provisioner.start(CommandHarness.order())
    assert len(str(caught.value)) < LAST_WORDS_MAX + 200
    await provisioner.close()


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    start = ["sh", "-c", f"sleep 1000 & echo $! > {note}; wait"]
    provisioner = commands(tmp_path / "relays", start=start, start_timeout_s=SHORT_S)
    with pytest.raises(ProvisionFailed, match="the start command ran out of time"):
        await provisioner.start(CommandHarness.order())
    assert await gone(int(note.read_text()))
    await provisioner.close()


async def test_a_program_that_is_missing_is_an_error(tmp_path: Path) -> None:
    provisioner = commands(tmp_path, start=["/nowhere/start"])
    with pytest.raises(ProvisionFailed, match="cannot run /nowhere/start"):
        await provisioner.start(CommandHarness.order())
    assert await provisioner.list() == []
    await provisioner.close()


async def test_a_probe_that_cannot_tell_is_no_crash(harness: CommandHarness) -> None:
    provisioner = harness.manager()
    await provisioner.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    (harness.folder / "behave").write_text("unreachable")
    (instance,) = await provisioner.list()
    assert instance.running and "255" in instance.detail
    (harness.folder / "behave").write_text("")
    await provisioner.stop("b-1")
    assert not alive(pid)
    await provisioner.close()


async def test_what_cannot_be_ended_stays_on_record(harness: CommandHarness) -> None:
    provisioner = harness.manager()
    await provisioner.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    (harness.folder / "behave").write_text("undying")
    with pytest.raises(ProvisionFailed, match="no permission to end machines"):
        await provisioner.stop("b-1")
    (instance,) = await provisioner.list()
    assert instance.running and alive(pid)
    (harness.folder / "behave").write_text("")
    await provisioner.stop("b-1")
    assert await gone(pid)
    await provisioner.close()


async def test_a_failed_start_that_cannot_be_undone_stays_on_record(tmp_path: Path) -> None:
    provisioner = commands(tmp_path, start=["false"], stop=["false"], probe=["false"])
    with pytest.raises(ProvisionFailed, match="the start command ended with status 1"):
        await provisioner.start(CommandHarness.order())
    (instance,) = await provisioner.list()
    assert not instance.running
    await provisioner.close()


async def test_one_server_is_started_by_one_command(harness: CommandHarness) -> None:
    provisioner = harness.manager()
    for _ in range(2):
        await provisioner.start(harness.order())
    await harness.ear.heard("b-1")
    assert (harness.folder / "starts").read_text() == "b-1\n"
    await provisioner.stop("b-1")
    await provisioner.close()
