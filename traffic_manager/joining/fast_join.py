"""The short way for joins and steering, as `surgecast.delivery.fastlane` is for playlists.

A plain `GET /watch/...` or `GET /steer/...` on an idle connection is answered at once, in the bytes
that aiohttp would send. Whatever is unusual, wants JSON, or is to be explained goes to aiohttp
unchanged.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from surgecast.delivery.fastlane import FastHandler, FastRunner, FastServer
from surgecast.delivery.settings import DeliverySettings
from surgecast.errors import RemoteError
from traffic_manager.joining.join import Join, Wish, read_wish, wants_json
from traffic_manager.joining.steer import Steer

_WATCH, _STEER, _LINE_END = b"GET /watch/", b"GET /steer/", b" HTTP/1.1\r\n"
_LINE_BYTES_MAX = 1024
_KEPT_MAX = 4096
V = TypeVar("V")
_CHANNEL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_QUERY = re.compile(rb"[A-Za-z0-9&=_.-]*")
_STEER_QUERY = re.compile(rb"[A-Za-z0-9&=_.%-]*")
_HOST = re.compile(rb"(?:^|\n)host:[ \t]*([A-Za-z0-9.:\[\]-]+)[ \t]*\r", re.IGNORECASE)
_ACCEPT = re.compile(rb"(?:^|\n)accept:([^\r]*)", re.IGNORECASE)


class JoinServer(FastServer):
    """Its connections have a fast lane for joins."""

    def __init__(
        self, join: Join, steer: Steer | None, plain: web.Server, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(plain, *args, **kwargs)
        self.join = join
        self.steer = steer
        self._plain: dict[bytes, bool] = {}
        self._wishes: dict[bytes, Wish | None] = {}

    def __call__(self) -> RequestHandler:
        return JoinHandler(self, loop=self._loop, **self._kwargs)

    def is_plain(self, block: bytes) -> bool:
        """Whether these header lines ask for nothing but a redirect; remembered."""
        plain = self._plain.get(block)
        if plain is None:
            accepts = b",".join(_ACCEPT.findall(block)).decode("ascii", "replace")
            plain = self.classify(block) is not None and not wants_json(accepts)
            _keep(self._plain, block, plain)
        return plain

    def wish(self, query: bytes) -> Wish | None:
        """What a query asks for, if it is a simple redirect; remembered."""
        try:
            return self._wishes[query]
        except KeyError:
            pass
        wish = None
        if _QUERY.fullmatch(query) is not None:
            try:
                wish = read_wish(query.decode("ascii"))
            except RemoteError:
                pass
        if wish is not None and wish.json:
            wish = None
        _keep(self._wishes, query, wish)
        return wish


class JoinHandler(FastHandler):
    """One connection."""

    __slots__ = ("_address", "_trusted")

    _server: JoinServer

    def __init__(self, server: JoinServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._address = ""
        self._trusted = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._trusted = self._server.join.regions.trusts(self._address)

    def _answer(self, data: bytes) -> bool:
        start = data[: len(_WATCH)]
        if start not in (_WATCH, _STEER):
            return super()._answer(data)
        end = data.find(_LINE_END, 0, _LINE_BYTES_MAX)
        if end < 0:
            return False
        name, _, query = data[len(start) : end].partition(b"?")
        block = data[end + len(_LINE_END) :]
        if _CHANNEL.fullmatch(name) is None or not self._server.is_plain(block):
            return False
        answer = self._joined if start == _WATCH else self._steered
        wire = answer(name.decode("ascii"), query, block)
        if wire is None:
            return False
        assert self.transport is not None
        self.transport.write(wire)
        self._note_answer()
        return True

    def _joined(self, channel: str, query: bytes, block: bytes) -> bytes | None:
        server = self._server
        wish = server.wish(query)
        if wish is None:
            return None
        return server.join.wire(channel, wish, self._region(block, wish.region))

    def _steered(self, channel: str, query: bytes, block: bytes) -> bytes | None:
        server = self._server
        host = _HOST.search(block)
        if server.steer is None or host is None or _STEER_QUERY.fullmatch(query) is None:
            return None
        base = f"http://{host[1].decode('ascii')}"
        region = partial(self._region, block)
        return server.steer.wire(channel, query.decode("ascii"), base, self._address, region)

    def _region(self, block: bytes, named: str = "") -> str:
        header = _header_of(block) if self._trusted else None
        return self._server.join.regions.of(self._address, header, named)


class JoinRunner(FastRunner):
    """Runs the manager's application, joins and steering on the fast lane."""

    __slots__ = ("_join", "_steer")

    def __init__(
        self,
        app: web.Application,
        join: Join,
        settings: DeliverySettings,
        steer: Steer | None = None,
    ) -> None:
        super().__init__(app, {}, settings)
        self._join = join
        self._steer = steer

    def _make_fast_server(self, plain: web.Server, **kwargs: Any) -> FastServer:
        return JoinServer(self._join, self._steer, plain, {}, self._settings, **kwargs)


def _header_of(block: bytes) -> Callable[[str], str]:
    """Gives the comma-joined values of a header in well-formed header lines."""

    def get(name: str) -> str:
        wanted = name.lower().encode()
        found = []
        for line in block.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.lower() == wanted:
                found.append(value.strip().decode("latin-1"))
        return ",".join(found)

    return get


def _keep(kept: dict[bytes, V], key: bytes, value: V) -> None:
    """Remember, within bounds."""
    if len(kept) >= _KEPT_MAX:
        kept.clear()
    kept[key] = value
