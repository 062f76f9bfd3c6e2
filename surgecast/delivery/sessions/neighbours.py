"""What a server knows of the others: whom sessions belong to, and where else viewers can go. Pure.

A session has one owner, named in its token. While the owner lives, it decides; when it is gone, or
drains, all servers must name the same heir without asking one another: the living server with the
highest hash of session and name (rendezvous hashing, Thaler and Ravishankar 1998).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another server. `takes_sessions` is false while it starts or drains."""

    server: str
    url: str
    region: str
    is_origin: bool
    takes_sessions: bool


@dataclass(frozen=True, slots=True)
class Neighbours:
    """All of them as one server sees them; `own` is that server itself."""

    own: Neighbour
    others: tuple[Neighbour, ...] = ()
    steering_url: str | None = None
    """Base of the manager's `/steer/{channel}`."""

    def get(self, server: str) -> Neighbour | None:
        """A server by its name, the own one included."""
        return next((n for n in (self.own, *self.others) if n.server == server), None)

    def owner_of(self, session: str, owner: str, without: Iterable[str] = ()) -> str:
        """Who decides for a session whose token names `owner`.

        `without` are servers that were found dead. The own server where nobody else can.
        """
        dead = set(without)
        takers = {n.server for n in (self.own, *self.others) if n.takes_sessions} - dead
        if owner in takers:
            return owner
        heirs = takers or {self.own.server}
        return max(heirs, key=lambda server: (weight(session, server), server))


def weight(session: str, server: str) -> bytes:
    return hashlib.blake2b(f"{session} {server}".encode(), digest_size=8).digest()
