"""The table of what can be asked for, and the part of it that belongs to one channel."""

from collections.abc import Callable, Iterable
from typing import Protocol

from surgecast.delivery.adaptation.link import Link
from surgecast.delivery.assets import Asset, Reply
from surgecast.delivery.waiting import Wait
from surgecast.errors import LocalError
from surgecast.media.remote import Remote

Ask = Callable[[str], Reply | Wait]
"""The query of a request -> what it gets."""


class Entry:
    """`adaptive.m3u8`: every request makes a session, under the token it is given."""

    __slots__ = ("create",)

    def __init__(self, create: Callable[[str], Reply]) -> None:
        self.create = create


class Asked:
    """What is found out when it is asked for. With a `link`, a session's playlist."""

    __slots__ = ("ask", "link")

    def __init__(self, ask: Ask, link: Link | None = None) -> None:
        self.ask = ask
        self.link = link


Route = Asset | Entry | Asked
Routes = dict[bytes, Route]
"""`b"GET /live/..."` -> what it names. The method is part of the key: one lookup, no slicing."""


MakeAsset = Callable[[bytes | memoryview], Asset]
"""The bytes of an object -> what is sent."""


class Supply(Protocol):
    """Where the bytes of remote payloads come from: on a relay, its upstream."""

    def stock(self, shelf: "Shelf", path: str, remote: Remote, make: MakeAsset) -> None:
        """Put a route for the object on the shelf; another one when its bytes are here."""
        ...

    def expect(self, shelf: "Shelf", paths: Iterable[str]) -> None:
        """These come next: they may be asked for before they are announced."""
        ...

    def drop(self, shelf: "Shelf", path: str) -> None:
        """Nobody can ask for it any more. Unknown paths do nothing."""
        ...


class Shelf:
    """One channel's URLs. Paths are below `/live/{channel}/`."""

    def __init__(self, routes: Routes, channel: str, supply: Supply | None = None) -> None:
        self.channel = channel
        self._routes = routes
        self._supply = supply
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

    def stock(self, path: str, payload: bytes | memoryview | Remote, make: MakeAsset) -> None:
        """An object: from memory, or on a relay as soon as its bytes are here."""
        if not isinstance(payload, Remote):
            self.put(path, make(payload))
            return
        if self._supply is None:
            raise LocalError(f"{path} is on another server, and nobody fetches it")
        self._supply.stock(self, path, payload, make)

    def expect(self, paths: Iterable[str]) -> None:
        """These come next."""
        if self._supply is not None:
            self._supply.expect(self, paths)

    def remove(self, path: str) -> None:
        """Answered 404 from now on. Unknown paths do nothing."""
        if self._supply is not None:
            self._supply.drop(self, path)
        key = self._key(path)
        if key in self._own:
            self._own.discard(key)
            del self._routes[key]

    def clear(self) -> None:
        """Take every URL of this channel off the table."""
        for key in tuple(self._own):
            self.remove(key.decode().removeprefix(self._prefix))

    def _key(self, path: str) -> bytes:
        return f"{self._prefix}{path}".encode()
