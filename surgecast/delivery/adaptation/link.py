"""What is learnt of a viewer from its connections: how fast they take what they are sent.

Segments carry no mark of the viewer, so a connection belongs to the session whose playlist was
asked for over it last; players ask for segments over the same ones. A connection over which
several viewers come in turn is a proxy's, and says nothing of any of them.
"""

import re
from collections.abc import Callable

from surgecast.clock import Clock
from surgecast.delivery.adaptation import tcp_info
from surgecast.delivery.adaptation.ceiling import Ceiling
from surgecast.delivery.adaptation.cmcd import Cmcd, of_headers, of_query

_LINKS_MAX = 4
"""Viewers of one connection, one after another: a page that is loaded again is a new one."""
_TOLD_EVERY_S = 4.0
"""What a player says of itself is read no more often."""
_HEADER = re.compile(rb"(?i)\r\ncmcd-(?:object|request|session|status):[ \t]*([^\r\n]*)")


class Link:
    """One viewer's side: the evidence, and whoever decides by it."""

    __slots__ = ("_clock", "_heed", "_told_at", "ceiling")

    def __init__(self, ceiling: Ceiling, clock: Clock, heed: Callable[[], None]) -> None:
        self.ceiling = ceiling
        self._clock = clock
        self._heed = heed
        self._told_at = clock.now() - _TOLD_EVERY_S

    def heed(self) -> None:
        """Think again: evidence grows old without anything new."""
        self._heed()

    def drained(self, before: tcp_info.Account, after: tcp_info.Account) -> None:
        """What was sent between two looks at a connection."""
        self.ceiling.sample(self._clock.now(), tcp_info.between(before, after))
        self._heed()

    def told(self, request: bytes, query: str) -> None:
        """A request with client data in it, as it came."""
        now = self._clock.now()
        if now - self._told_at < _TOLD_EVERY_S:
            return
        self._told_at = now
        report = of_query(query) or _of_request(request)
        if report is not None:
            self.ceiling.told(now, report)


class LinkObserver:
    """One connection's side. `peer` is its socket, or what stands for it."""

    __slots__ = ("_account", "_link", "_links", "_peer", "_sent")

    def __init__(self, peer: object) -> None:
        self._peer = peer
        self._link: Link | None = None
        self._links = 0
        self._account: tcp_info.Account | None = None
        self._sent = False

    def belongs_to(self, link: Link) -> None:
        """A playlist of a session is asked for."""
        if self._link is None or link.ceiling is not self._link.ceiling:
            self._links += 1
            self._link = link if self._links <= _LINKS_MAX else None
            self._account = tcp_info.read(self._peer) if self._link is not None else None
            self._sent = False
        link.heed()

    def sent(self) -> None:
        """Something big is on its way."""
        self._sent = True

    def asked(self, request: bytes, query: bytes) -> None:
        """Another request: what was sent before it is through, or as far as it goes."""
        link = self._link
        if link is None:
            return
        if self._sent:
            self._sent = False
            before, self._account = self._account, tcp_info.read(self._peer)
            if before is not None and self._account is not None:
                link.drained(before, self._account)
        if b"CMCD" in request:
            link.told(request, query.decode("ascii"))


def _of_request(request: bytes) -> Cmcd | None:
    values = [value.decode("latin-1") for value in _HEADER.findall(request)]
    return of_headers(values)
