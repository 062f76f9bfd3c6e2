"""The feed over HTTP: bounded followers and lines, a sign of life while nothing happens."""

import asyncio

from surgecast.clock import RealClock
from surgecast.delivery.channels import Directory
from surgecast.delivery.replica.feed import ReplicaFeeds
from surgecast.delivery.replica.lines import FeedReader, Heartbeat, Snapshot
from surgecast.delivery.settings import FeedSettings
from tests.support.relays import Origin, served, until

WAIT_S = 60.0


def origin_with(**feed: float) -> Origin:
    return Origin(feed=FeedSettings(heartbeat_s=0.05, **feed))


async def test_a_follower_hears_what_is_on_show_then_that_the_server_lives():
    origin = origin_with()
    async with served(origin.directory, origin.feeds) as server:
        async with server.http.get(f"{server.base}/fleet/v1/feed") as answer:
            assert await answer.json() == {"version": 1, "channels": ["demo"]}
        reader, events = FeedReader("demo"), []
        async with asyncio.timeout(WAIT_S):
            async with server.http.get(f"{server.base}/fleet/v1/feed/demo") as answer:
                assert answer.content_type == "application/x-ndjson"
                async for line in answer.content:
                    events.append(reader.take(line))
                    if isinstance(events[-1], Heartbeat):
                        break
        assert any(isinstance(event, Snapshot) for event in events)
        await until(lambda: origin.feeds.followers == 0)


async def test_no_more_follow_than_may_and_nobody_follows_what_is_not_there():
    origin = origin_with(followers_max=1)
    async with served(origin.directory, origin.feeds) as server:
        url = f"{server.base}/fleet/v1/feed"
        async with server.http.get(f"{url}/demo") as first:
            await first.content.readline()
            async with server.http.get(f"{url}/demo") as second:
                assert second.status == 503
        await until(lambda: origin.feeds.followers == 0)
        async with server.http.get(f"{url}/ghost") as answer:
            assert answer.status == 404


async def test_a_follower_that_takes_nothing_is_let_go_and_holds_up_nobody():
    origin = origin_with(queue_lines_max=50, write_timeout_s=0.2)
    async with served(origin.directory, origin.feeds) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET /fleet/v1/feed/demo HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: origin.feeds.followers == 1)
        writer.transport.pause_reading()
        async with asyncio.timeout(WAIT_S):
            while not origin.feeds.followers_let_go:  # until its buffers and its queue are full
                for _ in range(20):
                    origin.publish()
                    origin.publish_parts(8)
                await asyncio.sleep(0)
        assert origin.feeds.followers == 0
        writer.transport.abort()
        del reader


async def test_a_channel_that_is_taken_off_ends_its_feeds_and_one_that_is_added_has_one():
    origin = origin_with()
    async with served(origin.directory, origin.feeds) as server:
        async with server.http.get(f"{server.base}/fleet/v1/feed/demo") as answer:
            await answer.content.readline()
            origin.directory.remove("demo")
            async with asyncio.timeout(WAIT_S):
                await answer.content.read()
        async with server.http.get(f"{server.base}/fleet/v1/feed") as answer:
            assert (await answer.json())["channels"] == []


async def test_with_a_token_it_is_asked_for_and_without_one_pages_of_others_are_refused():
    origin, open_one = Origin(token="let-me-in-please"), Origin()
    async with (
        served(origin.directory, origin.feeds) as closed,
        served(open_one.directory, open_one.feeds) as opened,
    ):
        for server, headers, expected in (
            (closed, {}, 403),
            (closed, {"Authorization": "Bearer let-me-in-pleasd"}, 403),
            (closed, {"Authorization": "Bearer let-me-in-please"}, 200),
            (opened, {}, 200),
            (opened, {"Origin": "http://elsewhere"}, 403),
            (opened, {"X-Forwarded-For": "10.0.0.1"}, 403),
        ):
            url = f"{server.base}/fleet/v1/feed"
            async with server.http.get(url, headers=headers) as answer:
                assert answer.status == expected, headers


async def test_where_the_feed_is_off_there_is_nothing_to_follow():
    directory = Directory(RealClock())
    feeds = ReplicaFeeds(directory, FeedSettings(enabled=False))
    async with (
        served(directory, feeds) as server,
        server.http.get(f"{server.base}/fleet/v1/feed") as answer,
    ):
        assert (await answer.json())["channels"] == []
