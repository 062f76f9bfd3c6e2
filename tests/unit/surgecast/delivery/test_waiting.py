"""Waiters leave in order, a hundred in a turn, and none stays for ever."""

import asyncio

from surgecast.clock import ManualClock
from surgecast.delivery.waiting import TURN_MAX, Target, Turnstile, WaitingRoom

PATIENCE_S = 6.0


class Place:
    """A waiting room over a set of targets that have come, and who was woken in which turn."""

    def __init__(self, waiters_max: int = 10_000) -> None:
        self.clock = ManualClock()
        self.turnstile = Turnstile(waiters_max)
        self.come: set[Target] = set()
        self.woken: list[tuple[int, bool]] = []
        self.room = WaitingRoom(
            self.turnstile, self.clock, PATIENCE_S, lambda *target: target in self.come
        )

    def enter(self, name: int, target: Target = (1, 0)):
        return self.room.enter(target, lambda come: self.woken.append((name, come)))

    def publish(self, *targets: Target) -> None:
        self.come |= set(targets)
        self.room.tell()


async def test_a_hundred_leave_in_a_turn_in_order_of_arrival() -> None:
    place = Place()
    for name in range(1000):
        place.enter(name)
    place.publish((1, 0))
    assert place.woken == [] and len(place.room) == 0
    counts = []
    while len(place.woken) < 1000:
        await asyncio.sleep(0)
        counts.append(len(place.woken))
    assert counts == list(range(TURN_MAX, 1001, TURN_MAX))
    assert place.woken == [(name, True) for name in range(1000)]
    assert place.turnstile.waiting == 0 and place.turnstile.answered == 1000


async def test_those_of_several_targets_leave_in_order_of_arrival() -> None:
    place = Place()
    targets: list[Target] = [(1, None), (1, 7), (2, 0), (1, None), (1, 7)]
    for name, target in enumerate(targets):
        place.enter(name, target)
    place.publish((1, None), (1, 7))
    await asyncio.sleep(0)
    assert place.woken == [(0, True), (1, True), (3, True), (4, True)]
    assert len(place.room) == 1


async def test_those_let_go_later_leave_after_the_others() -> None:
    place = Place()
    for name in range(150):
        place.enter(name, (1, name % 2))
    place.publish((1, 1))
    place.publish((1, 0))
    for _ in range(2):
        await asyncio.sleep(0)
    assert [name for name, _ in place.woken] == [*range(1, 150, 2), *range(0, 150, 2)]


async def test_who_left_is_not_woken() -> None:
    place = Place()
    early, late, stays = place.enter(0), place.enter(1), place.enter(2)
    place.room.leave(early)
    assert place.turnstile.waiting == 2 and len(place.room) == 2
    place.publish((1, 0))
    place.room.leave(late)  # let go already, but not through the turnstile yet
    await asyncio.sleep(0)
    assert place.woken == [(2, True)] and place.turnstile.waiting == 0
    place.room.leave(stays)
    assert place.turnstile.waiting == 0


async def test_one_that_fails_does_not_hold_up_the_others() -> None:
    place = Place()
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    def fails(_come: bool) -> None:
        raise ValueError("gone wrong")

    place.room.enter((1, 0), fails)
    place.enter(1)
    place.publish((1, 0))
    for _ in range(3):
        await asyncio.sleep(0)
    assert place.woken == [(1, True)] and len(failures) == 1


async def test_a_wait_ends_after_its_time() -> None:
    place = Place()
    place.enter(0, (2, 0))
    place.clock.advance(4.0)
    place.enter(1, (2, 0))
    place.publish((1, 0))
    place.clock.advance(2.0)
    place.room.look()
    await asyncio.sleep(0)
    assert place.woken == [(0, False)] and len(place.room) == 1
    assert place.turnstile.turned_away == 1
    place.room.release()
    await asyncio.sleep(0)


async def test_all_leave_at_once_where_nothing_is_published_any_more() -> None:
    """R39."""
    place = Place()
    place.clock.advance(5.0)
    place.enter(0)
    place.enter(1, (2, None))
    place.clock.advance(1.0)
    assert not place.room.stalled
    place.clock.advance(0.1)
    assert place.room.stalled
    place.room.look()
    await asyncio.sleep(0)
    assert place.woken == [(0, False), (1, False)]
    place.publish((1, 0))
    assert not place.room.stalled


async def test_the_room_looks_by_itself() -> None:
    place = Place()
    place.room.patience_s = 0.05
    place.clock.advance(1.0)
    woken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    place.room.enter((1, 0), woken.set_result)
    assert not await asyncio.wait_for(woken, 60)


async def test_the_turnstile_counts_over_all_rooms() -> None:
    place = Place(waiters_max=2)
    other = WaitingRoom(place.turnstile, place.clock, PATIENCE_S, lambda *_: False)
    ticket = other.enter((1, 0), lambda _: None)
    assert not place.turnstile.full
    place.enter(0)
    assert place.turnstile.full
    other.leave(ticket)
    assert not place.turnstile.full
    place.room.release()
    await asyncio.sleep(0)
    assert place.turnstile.waiting == 0
