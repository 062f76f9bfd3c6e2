"""Requests that wait for a part: who waits for what, and how they are let go.

Nobody polls. A publication lets go all whose part has come, in the order they came in; the
turnstile then answers at most `TURN_MAX` of them in one turn of the event loop, so that a crowd of
waiters holds up neither the next part nor anybody else. Every wait ends: after `patience_s`, or at
once where nothing was published for that long (rule R39).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from surgecast.clock import Clock
from surgecast.delivery.assets import Refusal, Reply

TURN_MAX = 100
"""Waiters answered in one turn of the event loop."""

UNAVAILABLE = Refusal(503, "what was waited for did not come in time")
"""Never an unchanged playlist (rule R39)."""

Target = tuple[int, int | None]
"""MSN and part that must be there; None stands for the whole segment."""

Wake = Callable[[bool], None]
"""Called once, unless the waiter left: True if what it waited for has come."""


class Ticket:
    """One wait."""

    __slots__ = ("number", "since", "target", "wake")

    def __init__(self, number: int, target: Target, since: float, wake: Wake) -> None:
        self.number = number
        self.target = target
        self.since = since
        self.wake: Wake | None = wake


class Turnstile:
    """Through which all waiters of a process leave, and how many there may be."""

    def __init__(self, waiters_max: int) -> None:
        self.waiters_max = waiters_max
        self.waiting = 0
        self.answered = 0
        """Waiters that got what they waited for."""
        self.turned_away = 0
        """Waits that ended without, or were not begun: answered 503."""
        self._leaving: deque[tuple[Ticket, bool]] = deque()
        self._turning = False

    @property
    def full(self) -> bool:
        return self.waiting >= self.waiters_max

    def let_go(self, tickets: Iterable[Ticket], come: bool) -> None:
        """Wake these, after all that were let go before."""
        self._leaving.extend((ticket, come) for ticket in tickets)
        if self._leaving and not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        leaving = self._leaving
        try:
            for _ in range(min(TURN_MAX, len(leaving))):
                ticket, come = leaving.popleft()
                wake, ticket.wake = ticket.wake, None
                if wake is not None:
                    self.waiting -= 1
                    self.answered += come
                    self.turned_away += not come
                    wake(come)
        finally:
            # Whatever one waiter did, the others are answered.
            self._turning = bool(leaving)
            if leaving:
                asyncio.get_running_loop().call_soon(self._turn)


class WaitingRoom:
    """Those who wait for parts of one channel. `has_come` says whether a target is there."""

    def __init__(
        self,
        turnstile: Turnstile,
        clock: Clock,
        patience_s: float,
        has_come: Callable[[int, int | None], bool],
    ) -> None:
        self.patience_s = patience_s
        self._turnstile = turnstile
        self._clock = clock
        self._has_come = has_come
        self._told_at = clock.now()
        self._next_number = 0
        self._tickets: dict[int, Ticket] = {}
        """In order of arrival."""
        self._by_target: dict[Target, dict[int, Ticket]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def stalled(self) -> bool:
        """Nothing was published for longer than anybody is to wait."""
        return self._clock.now() - self._told_at > self.patience_s

    def enter(self, target: Target, wake: Wake) -> Ticket:
        """Wait for `target`; `leave` ends that early."""
        ticket = Ticket(self._next_number, target, self._clock.now(), wake)
        self._next_number += 1
        self._turnstile.waiting += 1
        self._tickets[ticket.number] = ticket
        self._by_target.setdefault(target, {})[ticket.number] = ticket
        if self._timer is None:
            self._watch(self.patience_s)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The waiter is gone: it is not woken any more."""
        if ticket.wake is not None:
            ticket.wake = None
            self._turnstile.waiting -= 1
            self._remove(ticket)

    def tell(self) -> None:
        """Something was published."""
        self._told_at = self._clock.now()
        come = [target for target in self._by_target if self._has_come(*target)]
        if not come:
            return
        groups = [self._by_target.pop(target) for target in come]
        tickets = [ticket for group in groups for ticket in group.values()]
        if len(groups) > 1:
            tickets.sort(key=lambda ticket: ticket.number)
        for ticket in tickets:
            del self._tickets[ticket.number]
        self._turnstile.let_go(tickets, come=True)

    def look(self) -> None:
        """Let those go who waited too long; all, where nothing is published any more."""
        if self.stalled:
            self.release()
            return
        oldest_since = self._clock.now() - self.patience_s
        late = [ticket for ticket in self._tickets.values() if ticket.since <= oldest_since]
        for ticket in late:
            self._remove(ticket)
        self._turnstile.let_go(late, come=False)

    def release(self) -> None:
        """Let everybody go without what they waited for."""
        tickets = list(self._tickets.values())
        self._tickets.clear()
        self._by_target.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._turnstile.let_go(tickets, come=False)

    def _remove(self, ticket: Ticket) -> None:
        self._tickets.pop(ticket.number, None)
        group = self._by_target.get(ticket.target)
        if group is not None and group.pop(ticket.number, None) is not None and not group:
            del self._by_target[ticket.target]

    def _watch(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.01, delay_s), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.look()
        for oldest in self._tickets.values():
            due = min(oldest.since, self._told_at) + self.patience_s
            self._watch(due - self._clock.now())
            break


class Room(Protocol):
    """Where a request waits."""

    @property
    def patience_s(self) -> float:
        """Longest time until it is let go."""
        ...

    def enter(self, target: Target, wake: Wake) -> Ticket: ...

    def leave(self, ticket: Ticket) -> None: ...


@dataclass(frozen=True, slots=True)
class Wait:
    """What to answer later: `reply()` once `target` has come, 503 otherwise.

    The reply may be another wait: what has come on a relay may still be under way to it.
    """

    room: Room
    target: Target
    reply: Callable[[], "Reply | Wait"]
