"""A real origin tells its manager what goes on, and needs none."""

from surgecast.control.messages import ServerReport
from tests.support.origins import Origin, origin, until
from tests.support.ports import free_port
from tests.support.stand_in_manager import StandInManager, stand_in_manager

CHANNEL = "/live/a"


async def such(manager: StandInManager, wanted, what: str) -> ServerReport:
    """The first report that is as `wanted`."""

    async def probe() -> ServerReport | None:
        report = await manager.report()
        return report if wanted(report) else None

    return await until(probe, what)


async def test_an_origin_reports_and_outlives_its_manager(tmp_path):
    port = free_port()
    control = {"manager": f"http://127.0.0.1:{port}", "report_every_s": 0.2}
    server = {"id": "o1", "region": "north"}
    async with origin(tmp_path, server=server, control=control) as running:
        async with stand_in_manager(port) as manager:
            manager.wants = {"viewers": {"a": 41}, "ttl_s": 2.0}
            first = await manager.report()
            assert (first.server, first.role, first.region) == ("o1", "origin", "north")
            assert (first.url, first.state) == (running.base, "serving")
            assert first.channels[0].ready and (first.ready_after_s or 0) > 0
            assert first.first_viewer_after_s is None

            await watch(running)
            seen = await such(
                manager,
                lambda r: r.first_viewer_after_s and r.channels[0].viewers,
                "the first viewer",
            )
            assert seen.boot == first.boot and seen.sequence > first.sequence
            channel = seen.channels[0]
            assert (channel.viewers, channel.sessions_here) == ({"north": 1}, 1)
            assert [(rung.rung, rung.sessions) for rung in channel.ladder] == [("low", 1)]
            await viewers_fleet(running, 41)
        # The manager is gone. What it told of the fleet runs out; nothing else changes.
        await viewers_fleet(running, 1)
        await running.beyond(max(await running.listed()))
        async with stand_in_manager(port) as manager:
            again = await manager.report()
            assert again.boot == first.boot
            assert again.channels[0].viewers == {"north": 1}


async def watch(running: Origin) -> None:
    """Begin a session, and fetch a segment."""
    entry = (await running.ask(f"{CHANNEL}/adaptive.m3u8"))[2].decode()
    listed = (await running.ask(f"{CHANNEL}/{entry.splitlines()[-1]}"))[2].decode()
    segment = listed.splitlines()[-1].removeprefix("../../")
    assert (await running.ask(f"{CHANNEL}/{segment}"))[0] == 200


async def viewers_fleet(running: Origin, expected: int) -> None:
    async def probe() -> bool:
        return (await running.json("/api/v1/channels/a"))[1]["viewers_fleet"] == expected

    await until(probe, f"{expected} viewers in the fleet")
