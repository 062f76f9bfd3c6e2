"""A real relay between a real origin and its manager: it warms, serves, drains and ends."""

import asyncio

import aiohttp

from tests.support.origins import origin, until
from tests.support.ports import free_port
from tests.support.roles import Relay, relay
from tests.support.stand_in_manager import StandInManager, stand_in_manager

PLAYLIST = "/live/a/low/media.m3u8"


async def test_a_relay_lives_from_prewarm_to_retirement(tmp_path):
    async with stand_in_manager() as manager, origin(tmp_path) as above:
        manager.wants = {"prewarm": ["a"]}
        life = {"quiet_s": 0.5}
        control = {"manager": manager.url, "report_every_s": 0.2}
        async with relay(
            tmp_path, [above.base], control=control, life=life, sessions={"session_expiry_s": 2.0}
        ) as below:
            serving = await manager.report("serving")
            assert (serving.server, serving.role) == ("relay-1", "relay")
            assert serving.upstream_fetches == serving.objects_fetched > 0, "the live window"
            assert serving.channels[0].ready
            assert serving.first_viewer_after_s is None
            await shows_the_same(below, above)
            await watch(below)
            told = await until(lambda: with_a_viewer(manager), "its viewer in a report")
            assert 0 < told.ready_after_s < told.first_viewer_after_s

            manager.wants = {"drain": {"deadline_s": 60.0}}
            await manager.report("draining")
            ready = await below.readiness()
            assert "the relay is draining" in ready["problems"]
            assert await below.ended() == 0
            assert "drained" in below.log


async def test_a_relay_that_cannot_reach_its_upstream_never_serves_and_says_why(tmp_path):
    upstream = f"http://127.0.0.1:{free_port()}"
    async with stand_in_manager() as manager:
        control = {"manager": manager.url, "report_every_s": 0.2}
        life = {"warm_timeout_s": 4.0}
        async with relay(tmp_path, [upstream], control=control, life=life, ready=False) as below:
            assert (await manager.report()).state == "warming"
            assert await below.ended() == 1
            assert "not warm after 4 s" in below.log
            assert upstream in below.log
            states = {manager.reports.get_nowait().state for _ in range(manager.reports.qsize())}
            assert "serving" not in states


async def test_a_relay_goes_on_without_manager_and_upstream(tmp_path):
    """It catches up when its upstream is back, and contradicts nothing it has said."""
    async with origin(tmp_path) as above, stand_in_manager() as manager:
        control = {"manager": manager.url, "report_every_s": 0.2}
        manager.wants = {"prewarm": ["a"]}
        async with relay(tmp_path, [above.base], control=control) as below:
            await manager.report("serving")
            before = await below.listed()
            await above.kill()
            status, _, body = await below.ask(PLAYLIST)
            assert status == 200 and body
            for name in before.values():
                assert (await below.ask(f"/live/a/low/{name}"))[0] == 200
            await below.told("warnings", above.base)
            await above.restart()
            await above.ready()
            await below.beyond(max(await above.listed()))
            after = await below.listed()
            assert all(after[msn] == name for msn, name in before.items() if msn in after)


async def shows_the_same(below: Relay, above: object) -> None:
    """The playlists of both are one, up to what is published between two questions."""

    async def probe() -> bool:
        async with asyncio.TaskGroup() as both:
            one = both.create_task(below.ask(PLAYLIST))
            other = both.create_task(above.ask(PLAYLIST))
        return one.result()[2] == other.result()[2]

    await until(probe, "equal playlists")


async def watch(below: Relay) -> None:
    """Begin a session, and fetch a segment."""
    entry = (await below.ask("/live/a/adaptive.m3u8"))[2].decode()
    listed = (await below.ask(f"/live/a/{entry.splitlines()[-1]}"))[2].decode()
    segment = listed.splitlines()[-1].removeprefix("../../")
    async with aiohttp.ClientSession(below.base) as http, http.get(f"/live/a/{segment}") as answer:
        assert answer.status == 200 and await answer.read()


async def with_a_viewer(manager: StandInManager):
    report = await manager.report()
    return report if report.first_viewer_after_s and report.channels[0].viewers else None
