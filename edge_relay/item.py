"""One object of a relay: what is known of it, its bytes where they are here, who waits for it."""

import asyncio

from edge_relay.arrival import Arrival
from surgecast.clock import Clock
from surgecast.delivery.assets import Asset
from surgecast.delivery.shelf import MakeAsset, Shelf
from surgecast.delivery.waiting import Target, Ticket, Turnstile, Wake
from surgecast.errors import RemoteError
from surgecast.media.remote import Remote

Key = tuple[str, str]
"""Channel, and path below `/live/{channel}/`."""


class Waiters:
    """A `Room` for those who wait for one object. Whoever pulls it always lets them go."""

    def __init__(self, turnstile: Turnstile, clock: Clock, patience_s: float) -> None:
        self.patience_s = patience_s
        self._turnstile = turnstile
        self._clock = clock
        self._tickets: dict[int, Ticket] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def enter(self, target: Target, wake: Wake) -> Ticket:
        self._count += 1
        ticket = Ticket(self._count, target, self._clock.now(), wake)
        self._turnstile.waiting += 1
        self._tickets[ticket.number] = ticket
        return ticket

    def leave(self, ticket: Ticket) -> None:
        if ticket.wake is not None:
            ticket.wake = None
            self._turnstile.waiting -= 1
            self._tickets.pop(ticket.number, None)

    def let_go(self, come: bool = True) -> None:
        """Everybody; with `come` they are answered by what there is now."""
        tickets = list(self._tickets.values())
        self._tickets.clear()
        self._turnstile.let_go(tickets, come)


class Item:
    """One object. Changed by the depot alone."""

    __slots__ = (
        "arrival",
        "body",
        "error",
        "failed_until",
        "frame",
        "key",
        "make",
        "parent",
        "readers",
        "remote",
        "shelf",
        "task",
        "waiters",
    )

    def __init__(self, shelf: Shelf, path: str, waiters: Waiters) -> None:
        self.key: Key = (shelf.channel, path)
        self.shelf = shelf
        self.waiters = waiters
        self.readers = 0
        """Those who take the bytes as they come."""
        self.remote: Remote | None = None
        """None while it is only expected."""
        self.make: MakeAsset | None = None
        self.frame: Asset | None = None
        """As it will be sent, without its bytes."""
        self.body: bytes | memoryview | None = None
        self.task: asyncio.Task[None] | None = None
        """Pulls it."""
        self.arrival = Arrival()
        self.parent: Item | None = None
        """The whole segment of a part, once that is announced."""
        self.failed_until = 0.0
        self.error = RemoteError("it was not pulled yet")

    @property
    def path(self) -> str:
        return self.key[1]

    @property
    def folder(self) -> str:
        """One rung of one channel."""
        return f"{self.key[0]}/{self.path.rpartition('/')[0]}"

    @property
    def url_path(self) -> str:
        return f"/live/{self.key[0]}/{self.path}"

    @property
    def is_wanted(self) -> bool:
        """Whether a viewer waits for it now."""
        return bool(len(self.waiters) or self.readers)

    def announced(self) -> Remote | None:
        return self.remote
