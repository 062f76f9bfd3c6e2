"""The replication feed over HTTP: what other servers follow to show the same channels.

`GET /fleet/v1/feed` names the channels, `GET /fleet/v1/feed/{channel}` tells of one without end
(`replica.lines`). A follower that does not take its lines is let go; it comes again and begins with
a snapshot, so that nothing here waits for anybody.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import web

from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.fleet_access import is_server
from surgecast.delivery.replica.lines import VERSION, heartbeat_line
from surgecast.delivery.replica.log import ReplicaLog
from surgecast.delivery.settings import FeedSettings
from surgecast.log import Log

FEED_TYPE = "application/x-ndjson"

log = Log("surgecast.replica")


class _Follower:
    """One feed that is being followed."""

    def __init__(self, lines: Sequence[bytes], lines_max: int) -> None:
        self.lines: deque[bytes] = deque(lines)
        self.lines_max = len(lines) + lines_max
        self.news = asyncio.Event()
        self.left = False

    def tell(self, line: bytes) -> None:
        if len(self.lines) >= self.lines_max:
            self.leave()
        self.lines.append(line)
        self.news.set()

    def leave(self) -> None:
        self.left = True
        self.news.set()

    def take(self) -> bytes:
        taken = b"".join(self.lines)
        self.lines.clear()
        self.news.clear()
        return taken


class ReplicaFeeds:
    """The feeds of all channels of a directory; its `routes` belong to the application.

    To be made before the first channel: parts that were published before are not told of.
    """

    def __init__(
        self, directory: Directory, settings: FeedSettings, *, token: str | None = None
    ) -> None:
        self.lines_told = 0
        self.followers_let_go = 0
        """Because they were too slow."""
        self._settings = settings
        self._token = token
        self._logs: dict[str, ReplicaLog] = {}
        self._followers: dict[str, set[_Follower]] = {}
        if settings.enabled:
            directory.watch(self)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/fleet/v1/feed", self._channels),
            web.get("/fleet/v1/feed/{channel}", self._feed),
        ]

    @property
    def followers(self) -> int:
        return sum(map(len, self._followers.values()))

    def release(self) -> None:
        """Send every follower away; it may come again."""
        for followers in self._followers.values():
            for follower in followers:
                follower.leave()

    # As watcher of the directory.

    def added(self, stage: Stage) -> None:
        parts = stage.low_latency.window if stage.low_latency is not None else None
        self._followers[stage.name] = set()
        self._logs[stage.name] = ReplicaLog(
            stage.name, stage.window, parts, lambda line: self._tell(stage.name, line)
        )

    def ended(self, stage: Stage) -> None:
        self._logs[stage.name].end()

    def removed(self, stage: Stage) -> None:
        self._logs.pop(stage.name).close()
        for follower in self._followers.pop(stage.name):
            follower.leave()

    def stopping(self) -> None:
        self.release()

    def _tell(self, channel: str, line: bytes) -> None:
        self.lines_told += 1
        for follower in self._followers[channel]:
            follower.tell(line)

    # Over HTTP.

    async def _channels(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response({"version": VERSION, "channels": sorted(self._logs)})

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        channel = request.match_info["channel"]
        kept = self._logs.get(channel)
        if kept is None:
            raise web.HTTPNotFound(text="there is no such channel here\n")
        if self.followers >= self._settings.followers_max:
            raise web.HTTPServiceUnavailable(text="too many follow this server already\n")
        response = web.StreamResponse(headers={"Content-Type": FEED_TYPE})
        response.enable_chunked_encoding()
        await response.prepare(request)
        followers = self._followers.get(channel, set())
        follower = _Follower(tuple(kept.snapshot()), self._settings.queue_lines_max)
        followers.add(follower)
        if self._logs.get(channel) is not kept:  # taken off while the answer began
            follower.leave()
        try:
            await self._follow(response, follower)
        except TimeoutError:
            self._let_go(request, channel)
        except ConnectionError:
            pass
        finally:
            followers.discard(follower)
        return response

    async def _follow(self, response: web.StreamResponse, follower: _Follower) -> None:
        """Write until the follower leaves. Raises TimeoutError where it takes nothing."""
        while not follower.left:
            lines = follower.take() or heartbeat_line()
            async with asyncio.timeout(self._settings.write_timeout_s):
                await response.write(lines)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.heartbeat_s):
                    await follower.news.wait()
        if len(follower.lines) >= follower.lines_max:
            raise TimeoutError

    def _let_go(self, request: web.Request, channel: str) -> None:
        self.followers_let_go += 1
        log.warning("a follower is too slow", channel=channel, peer=request.remote)
        if request.transport is not None:
            request.transport.abort()

    def _check(self, request: web.Request) -> None:
        if not is_server(request, self._token):
            raise web.HTTPForbidden(text="for servers of this fleet only\n")
