"""A request for what another server has listed already, and this one will in a moment.

Relays hear of a segment one after another, a few milliseconds apart. A viewer that reads a playlist
on one of them and asks another for what it names must not be told that it does not exist: for an
object that can only be the next or the one after it, a relay waits a little before it says so.
"""

import asyncio
import re
from contextlib import suppress

from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.shelf import Route

_OBJECT = re.compile(
    r"/live/(?P<channel>[^/]+)/(?P<ll>ll/)?(?P<rung>[^/]+)/"
    r"[A-Za-z0-9_.]+-(?P<msn>[0-9]{1,15})(?:\.[0-9]{1,6})?\.(?:ts|m4s)",
    re.ASCII,
)
_AHEAD_SEGMENTS_MAX = 2
_PATIENCE_S = 1.0
"""Servers of one fleet are closer together than this; players wait longer."""


async def found_late(directory: Directory, path: str) -> Route | None:
    """What `path` names as soon as it does; None if it does not for `_PATIENCE_S`, or cannot."""
    match = _OBJECT.fullmatch(path)
    stage = directory.get(match["channel"]) if match is not None else None
    turnstile = directory.turnstile
    if match is None or stage is None or turnstile.full or not _comes(stage, match):
        return None
    key = f"GET {path}".encode("utf-8", "surrogateescape")
    come = asyncio.Event()
    turnstile.waiting += 1
    leave = [stage.window.subscribe(lambda *_: _look(directory, key, come))]
    if stage.low_latency is not None:
        leave.append(stage.low_latency.window.subscribe(lambda _: _look(directory, key, come)))
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await come.wait()
    finally:
        turnstile.waiting -= 1
        for unsubscribe in leave:
            unsubscribe()
    return directory.routes.get(key)


def _look(directory: Directory, key: bytes, come: asyncio.Event) -> None:
    if key in directory.routes:
        come.set()


def _comes(stage: Stage, match: re.Match[str]) -> bool:
    """Whether it can be what is published next."""
    if match["rung"] not in stage.sessions.rungs:
        return False
    next_msn = stage.window.next_msn
    if match["ll"]:
        if stage.low_latency is None:
            return False
        next_msn = stage.low_latency.window.next_msn
    return next_msn <= int(match["msn"]) < next_msn + _AHEAD_SEGMENTS_MAX
