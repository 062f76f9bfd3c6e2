"""What every provisioner promises (traffic_manager/provisioners/base.py), kind by kind.

A new kind adds its harness to `KINDS`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from surgecast.errors import LocalError
from tests.support.provisioners import (
    SECRET,
    TOKEN,
    CommandHarness,
    Harness,
    LocalHarness,
    ManagerEar,
    alive,
    gone,
)
from traffic_manager.provisioners.base import Instance, Provisioner

KINDS = {"local": LocalHarness, "command": CommandHarness}


@pytest.fixture(params=sorted(KINDS))
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    ear = ManagerEar()
    async with ear.listening():
        made = KINDS[request.param](tmp_path, ear)
        try:
            yield made
        finally:
            for pid in {report["pid"] for report in ear.reports}:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


async def only(provisioner: Provisioner) -> Instance:
    (instance,) = await provisioner.list()
    return instance


async def end(provisioner: Provisioner, *servers: str) -> None:
    for server in servers:
        await provisioner.stop(server)
    await provisioner.close()


async def test_a_started_server_reports_under_its_id(harness: Harness) -> None:
    provisioner = harness.manager()
    instance = await provisioner.start(harness.order())
    report = await harness.ear.heard("b-1")
    assert instance.running and instance.server == "b-1"
    assert report["region"] == "b" and report["upstreams"] == ["http://127.0.0.1:8080"]
    assert instance.url == report["url"]
    await end(provisioner, "b-1")


async def test_secrets_reach_a_relay_by_its_environment_alone(harness: Harness) -> None:
    provisioner = harness.manager()
    await provisioner.start(harness.order())
    report = await harness.ear.heard("b-1")
    assert report["key"] == SECRET and report["token"] == TOKEN
    written = [path for path in harness.folder.rglob("*") if path.is_file()]
    assert written
    for secret in (SECRET, TOKEN):
        assert secret not in " ".join(report["argv"])
        assert not [path for path in written if secret in path.read_text(encoding="utf-8")]
    await end(provisioner, "b-1")


async def test_one_id_is_one_server_however_often_it_is_started(harness: Harness) -> None:
    provisioner = harness.manager()
    first, second = await asyncio.gather(
        provisioner.start(harness.order()), provisioner.start(harness.order())
    )
    third = await provisioner.start(harness.order())
    await harness.ear.heard("b-1")
    assert first.server == second.server == third.server
    assert first.url == second.url == third.url
    assert (await only(provisioner)).running
    # A second process would report before the next server, which is started after it.
    await provisioner.start(harness.order("b-2"))
    await harness.ear.heard("b-2")
    assert len(harness.ear.of("b-1")) == 1
    await end(provisioner, "b-1", "b-2")


async def test_two_ids_are_two_servers(harness: Harness) -> None:
    provisioner = harness.manager()
    await asyncio.gather(*(provisioner.start(harness.order(name)) for name in ("b-1", "b-2")))
    one, other = await harness.ear.heard("b-1"), await harness.ear.heard("b-2")
    assert one["pid"] != other["pid"] and one["url"] != other["url"]
    assert sorted(i.server for i in await provisioner.list()) == ["b-1", "b-2"]
    await provisioner.stop("b-1")
    assert await gone(one["pid"]) and alive(other["pid"])
    assert (await only(provisioner)).server == "b-2"
    await end(provisioner, "b-2")


async def test_stop_ends_it_and_can_be_repeated(harness: Harness) -> None:
    provisioner = harness.manager()
    await provisioner.stop("never-there")
    await provisioner.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    await asyncio.gather(provisioner.stop("b-1"), provisioner.stop("b-1"))
    assert await gone(pid)
    assert await provisioner.list() == []
    await end(provisioner, "b-1")


async def test_a_relay_that_does_not_obey_is_killed(harness: Harness) -> None:
    harness.behave = "stubborn"
    provisioner = harness.manager()
    await provisioner.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    await end(provisioner, "b-1")
    assert await gone(pid)


async def test_a_crash_is_noticed_and_stays_listed_until_stop(harness: Harness) -> None:
    provisioner = harness.manager()
    await provisioner.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert await gone(pid)
    for _ in range(2):
        ended = await only(provisioner)
        assert not ended.running and ended.detail
    assert not (await provisioner.start(harness.order())).running, "an id is not used again"
    await provisioner.stop("b-1")
    assert await provisioner.list() == []
    await end(provisioner)


async def test_the_next_manager_goes_on_with_what_the_former_started(harness: Harness) -> None:
    former = harness.manager()
    await former.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    await former.close()
    assert alive(pid), "viewers watch through it"

    provisioner = harness.manager()
    assert (await only(provisioner)).running
    assert (await provisioner.start(harness.order())).running
    await provisioner.stop("b-1")
    assert await gone(pid)
    assert len(harness.ear.of("b-1")) == 1, "adopted, not started again"
    await end(provisioner)


async def test_what_ended_between_two_managers_is_told(harness: Harness) -> None:
    former = harness.manager()
    await former.start(harness.order())
    pid = (await harness.ear.heard("b-1"))["pid"]
    await former.close()
    os.kill(pid, signal.SIGKILL)
    assert await gone(pid)

    provisioner = harness.manager()
    assert not (await only(provisioner)).running
    await end(provisioner, "b-1")


async def test_two_managers_do_not_share_their_relays(harness: Harness) -> None:
    provisioner = harness.manager()
    with pytest.raises(LocalError, match="another manager"):
        harness.manager()
    await provisioner.close()
    await harness.manager().close()
