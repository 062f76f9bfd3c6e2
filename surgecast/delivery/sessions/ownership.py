"""Who answers for a session: this server, the one its token names, or an heir. Pure.

A session has one author at a time, so that its playlists never contradict one another:

| this server                        | the owner              | what happens                      |
|------------------------------------|------------------------|-----------------------------------|
| has the session                    | any                    | it answers                        |
| handed it over                     | any                    | whom it was handed to answers     |
| is the owner, session is new       | -                      | it begins                         |
| is the owner or heir, not new      | dead, or forgot it     | it takes over, if no other has it |
| is the heir                        | drains, alive          | it asks for the histories         |
| is neither                         | alive                  | passes the request on             |

A request is passed on once. Whoever gets one that is not its own says whose it takes it for, and
the server that the viewer asked goes there. While a server drains, viewers who ask it for sessions
it handed over are sent to the new owner instead.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from surgecast.delivery.sessions.neighbours import Neighbours, weight
from surgecast.delivery.sessions.tokens import Claims


@dataclass(frozen=True, slots=True)
class Situation:
    """A request for a session, as one server sees it."""

    claims: Claims
    known: bool
    """This server has the session."""
    sure: bool
    """And no other can have taken it over meanwhile."""
    new: bool
    """Nobody can have shown it anything yet."""
    sought: bool = False
    """All others were asked whether they have it."""
    asked: bool = False
    """Its owner was asked for its histories."""
    moved_to: str | None = None
    """Whom this server handed it to, or who said that it has it."""
    passed_by: str = ""
    """The server that passes the request on; empty where a viewer asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """This server does. `taken`: it takes the session over, with a past it does not know."""

    taken: bool = False


@dataclass(frozen=True, slots=True)
class PassOn:
    """Ask that server, and give the viewer what it says."""

    server: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the viewer there."""

    server: str


@dataclass(frozen=True, slots=True)
class NotMine:
    """Tell the server that passed it on whose this is."""

    server: str


@dataclass(frozen=True, slots=True)
class Seek:
    """Ask all others whether they have it, then decide again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask that server for its histories, then decide again."""

    server: str


Decision = Answer | PassOn | Redirect | NotMine | Seek | Claim


def decide(situation: Situation, known: Neighbours, dead: Collection[str]) -> Decision:
    """What to do with a request. `dead` are servers that cannot be asked now."""
    own, claims = known.own.server, situation.claims
    if situation.known and situation.sure:
        return Answer()
    holder = situation.moved_to
    if holder is not None and holder != own and holder not in dead and known.get(holder):
        return _send(holder, situation, known)
    owner = known.owner_of(claims.session, claims.owner, without=dead)
    if owner != own:
        return _send(owner, situation, known)
    if situation.known:
        return Answer() if situation.sought or not known.others else Seek()
    if situation.new:
        return Answer()
    before = known.get(claims.owner)
    drains = claims.owner != own and before is not None and claims.owner not in dead
    if drains and not situation.asked:
        return Claim(claims.owner)
    if known.others and not situation.sought:
        return Seek()
    return Answer(taken=True)


def _send(to: str, situation: Situation, known: Neighbours) -> Decision:
    if situation.passed_by:
        return NotMine(to)
    heir = known.get(to)
    drains = not known.own.takes_sessions and heir is not None and heir.takes_sessions
    return Redirect(to) if drains else PassOn(to)


def yields_to(session: str, own: str, other: str) -> bool:
    """Whether this server lets the other take the session over, where both are about to."""
    return (weight(session, own), own) < (weight(session, other), other)


class Health:
    """Which servers were found dead, and when they are worth another look."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._dead: dict[str, float] = {}
        """Server -> when to look again."""

    def __contains__(self, server: str) -> bool:
        return server in self._dead

    @property
    def dead(self) -> Collection[str]:
        return self._dead.keys()

    def died(self, server: str, now: float) -> None:
        self._dead[server] = now + self._again_s

    def lives(self, server: str) -> None:
        self._dead.pop(server, None)

    def due(self, now: float) -> list[str]:
        """Whom to look at again."""
        return [server for server, at in self._dead.items() if at <= now]

    def keep(self, servers: Iterable[str]) -> None:
        """Forget those that are not in the fleet any more."""
        fleet = set(servers)
        self._dead = {server: at for server, at in self._dead.items() if server in fleet}
