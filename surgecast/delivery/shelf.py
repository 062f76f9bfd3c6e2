"""The table of what can be asked for, and the part of it that belongs to one channel."""

from collections.abc import Callable

from surgecast.delivery.assets import Asset, Reply
from surgecast.delivery.waiting import Wait

Ask = Callable[[str], Reply | Wait]
"""The query of a request -> what it gets."""


class Entry:
    """`adaptive.m3u8`: every request makes a session, under the token it is given."""

    __slots__ = ("create",)

    def __init__(self, create: Callable[[str], Reply]) -> None:
        self.create = create


class Asked:
    """What is found out when it is asked for."""

    __slots__ = ("ask",)

    def __init__(self, ask: Ask) -> None:
        self.ask = ask


Route = Asset | Entry | Asked
Routes = dict[bytes, Route]
"""`b"GET /live/..."` -> what it names. The method is part of the key: one lookup, no slicing."""


class Shelf:
    """One channel's URLs. Paths are below `/live/{channel}/`."""

    def __init__(self, routes: Routes, channel: str) -> None:
        self._routes = routes
        self._prefix = f"GET /live/{channel}/"
        self._own: set[bytes] = set()

    def __contains__(self, path: str) -> bool:
        return self._key(path) in self._own

    def get(self, path: str) -> Route | None:
        key = self._key(path)
        return self._routes[key] if key in self._own else None

    def put(self, path: str, route: Route) -> None:
        key = self._key(path)
        self._own.add(key)
        self._routes[key] = route

    def remove(self, path: str) -> None:
        """Answered 404 from now on. Unknown paths do nothing."""
        key = self._key(path)
        if key in self._own:
            self._own.discard(key)
            del self._routes[key]

    def clear(self) -> None:
        """Take every URL of this channel off the table."""
        for key in self._own:
            del self._routes[key]
        self._own.clear()

    def _key(self, path: str) -> bytes:
        return f"{self._prefix}{path}".encode()
