"""Pieces on their way: a few at a time, handed over in the order of play, and one asked ahead."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from player.fetcher import Body, Fetcher, FetchError
from player.part_tracker import Piece

PARALLEL = 3
"""Downloads at a time. At the live edge there is one; joining takes more."""


@dataclass(slots=True)
class _Item:
    piece: Piece
    task: asyncio.Task[Body] | None = None
    ahead: bool = False
    """Asked for before it was listed."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A piece whose turn has come; `body` is None where it could not be had."""

    piece: Piece
    body: Body | None


class Downloads:
    """One viewer's. `held_s` is how long a server may hold what it only hinted at."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.held_s = 0.0
        self.hints_used = 0
        self.hints_unused = 0
        self._fetcher = fetcher
        self._items: deque[_Item] = deque()
        self._ahead_url: str | None = None
        self._ahead: asyncio.Task[Body] | None = None

    @property
    def pending_s(self) -> float:
        """Media listed and not handed over yet."""
        return sum(item.piece.shown_s for item in self._items)

    @property
    def idle(self) -> bool:
        """True where everything that was added has been handed over."""
        return not self._items

    def add(self, piece: Piece) -> None:
        """Download this after everything added before it."""
        item = _Item(piece)
        if self._ahead is not None and piece.url == self._ahead_url:
            item.task, item.ahead, self._ahead = self._ahead, True, None
            self._ahead_url = None
        self._items.append(item)

    def ask_ahead(self, url: str | None) -> None:
        """`url` will be listed next; None where nothing is said of it. Each is asked for once."""
        if url == self._ahead_url:
            return
        self._drop_ahead()
        self._ahead_url = url
        if url is not None:
            self._ahead = asyncio.create_task(self._fetcher.get(url, self.held_s))

    def start(self) -> None:
        """Start what may run now."""
        for item in list(self._items)[:PARALLEL]:
            if item.task is None:
                item.task = asyncio.create_task(self._fetcher.get(item.piece.url))

    def arrived(self) -> Iterator[Arrived]:
        """What has come, in the order of play."""
        while self._items and (task := self._items[0].task) is not None and task.done():
            item = self._items[0]
            body = _body(task)
            if body is None and item.ahead:
                # A server need not hold a hinted part: now that it is listed, it is there.
                self.hints_unused += 1
                item.task, item.ahead = None, False
                return
            self.hints_used += item.ahead
            self._items.popleft()
            yield Arrived(item.piece, body)

    def tasks(self) -> set[asyncio.Task[Body]]:
        """Everything that runs, or has ended and was not handed over."""
        running = {item.task for item in self._items if item.task is not None}
        return running | ({self._ahead} if self._ahead is not None else set())

    def awaited(self) -> set[asyncio.Task[Body]]:
        """Tasks whose end makes a difference now."""
        return {task for task in self.tasks() if not task.done()}

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            give_up(self._ahead)
            self.hints_unused += 1
        self._ahead = self._ahead_url = None


def give_up(task: asyncio.Task[Body]) -> None:
    """Cancel what nobody waits for any more."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _body(task: asyncio.Task[Body]) -> Body | None:
    try:
        return task.result()
    except FetchError:
        return None
