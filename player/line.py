"""Pieces on their way: a few at a time, handed over in the order of play, one asked ahead. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from player.part_tracker import Piece
from player.places import rebased


@dataclass(slots=True, eq=False)
class Item:
    """One piece. `base` is the playlist that named it, by which it is found on another server."""

    piece: Piece | None
    """None while it was only hinted at."""
    url: str
    base: str
    tries: int = 0
    not_before: float = 0.0
    under_way: bool = False
    ahead: bool = False
    """Asked for before it was listed."""
    size_bytes: int | None = None
    """Of what came."""
    seconds: float = 0.0
    """What that took."""
    given_up: bool = False

    @property
    def finished(self) -> bool:
        return self.given_up or self.size_bytes is not None

    def rebase(self, base: str) -> None:
        """Where this is when `base` is the playlist."""
        self.url, self.base = rebased(self.url, self.base, base), base


class Line:
    """One viewer's."""

    def __init__(self) -> None:
        self.hints_used = 0
        self.hints_unused = 0
        self._items: deque[Item] = deque()
        self._ahead: Item | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def pending_s(self) -> float:
        """Media listed and not handed over yet."""
        return sum(item.piece.shown_s for item in self._items if item.piece is not None)

    def add(self, piece: Piece, base: str) -> None:
        """Download this after everything added before it."""
        ahead = self._ahead
        if ahead is not None and ahead.url == piece.url:
            ahead.piece, self._ahead = piece, None
            if ahead.given_up:
                # A server need not hold a hinted part: now that it is listed, it is there.
                self.hints_unused += 1
                ahead.given_up = ahead.ahead = False
            self._items.append(ahead)
            return
        self._items.append(Item(piece, piece.url, base))

    def hint(self, url: str | None, base: str) -> tuple[Item | None, Item | None]:
        """`url` will be listed next. What to ask for because of that, and what to give up."""
        dropped = self._ahead
        if dropped is not None:
            if dropped.url == url:
                return None, None
            self._ahead = None
            self.hints_unused += 1
        if url is None or any(item.url == url for item in self._items):
            return None, dropped
        self._ahead = Item(None, url, base, under_way=True, ahead=True)
        return self._ahead, dropped

    def due(self, parallel: int, now: float) -> list[Item]:
        """What is to be asked for now; it counts as under way from here on."""
        found = []
        for item in list(self._items)[:parallel]:
            if not item.under_way and not item.finished and item.not_before <= now:
                item.under_way = True
                found.append(item)
        return found

    def due_at(self, parallel: int) -> float:
        """When that will be more; infinite where nothing waits for its time."""
        waiting = [
            item.not_before
            for item in list(self._items)[:parallel]
            if not item.under_way and not item.finished
        ]
        return min(waiting, default=float("inf"))

    def arrived(self) -> Iterator[Item]:
        """What has come or was given up, in the order of play."""
        while self._items and self._items[0].finished:
            item = self._items.popleft()
            self.hints_used += item.ahead and not item.given_up
            yield item

    def drop(self, item: Item) -> None:
        """It is wanted no more."""
        self._items = deque(other for other in self._items if other is not item)

    def rebase(self, base: str) -> None:
        """What is not under way comes from the server of that playlist."""
        for item in self._items:
            if not item.under_way and not item.finished:
                item.rebase(base)
