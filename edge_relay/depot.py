"""The objects a relay has, and how it comes by those it has not: each is pulled once.

The windows say which objects there are; the depot puts a route for each on the channel's shelf:
the bytes where they are here, and until then a wait that pulls them, once for all who wait.

    expected ─► announced ─► on its way ─► here ─► dropped by the window
        │                        ▲  │
        └── asked for before ────┘  └─► failed: answered 502 for a moment, then tried again

A low-latency segment is its parts in a row: where they are here it is not pulled, and where it was
pulled they are not. Equal payloads, as of a rung that stands in for another, are pulled once too.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial

from edge_relay.appetite import Appetite
from edge_relay.arrival import Arrival
from edge_relay.item import Item, Key, Waiters
from edge_relay.pull_settings import PullSettings
from edge_relay.puller import Puller
from surgecast.clock import Clock
from surgecast.delivery.assets import Asset, Refusal, Reply
from surgecast.delivery.replica.arriving import Arriving
from surgecast.delivery.shelf import Asked, MakeAsset, Shelf
from surgecast.delivery.waiting import Turnstile, Wait
from surgecast.errors import RemoteError
from surgecast.log import Log
from surgecast.media.remote import Remote, bytes_held

_HELD_TARGET_DURATIONS = 3
"""How long an upstream holds a request for a part that does not come (rule R39)."""

log = Log("edge_relay.depot")


class Depot:
    """The objects of all channels; the `Supply` of a relay's directory."""

    def __init__(
        self, settings: PullSettings, puller: Puller, turnstile: Turnstile, clock: Clock
    ) -> None:
        self.bytes_held = 0
        self.evicted = 0
        """Objects forgotten because the store was full."""
        self.news = asyncio.Event()
        """Set when an object has come, or could not; then there is another one."""
        self._settings = settings
        self._puller = puller
        self._turnstile = turnstile
        self._clock = clock
        self._appetite = Appetite()
        self._items: dict[Key, Item] = {}
        self._alike: dict[bytes, list[Item]] = {}
        """By digest, all that were announced."""
        self._due: list[Item] = []
        self._warm: frozenset[str] = frozenset()
        self._segment_s: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def keep_warm(self, channels: Iterable[str]) -> None:
        """These are pulled as they are announced, whether asked for or not."""
        self._warm = frozenset(channels)

    def set_pace(self, channel: str, segment_s: float) -> None:
        """How long a segment of the channel lasts: its snapshot is here."""
        self._segment_s[channel] = segment_s

    def forget(self, channel: str) -> None:
        """The channel is off."""
        self._segment_s.pop(channel, None)
        self._appetite.forget(channel)

    def pull(self, channel: str, paths: Iterable[str]) -> None:
        """Pull these, as far as they are not here."""
        found = (self._items.get((channel, path)) for path in paths)
        self._pull_soon(*(item for item in found if item is not None))

    def has(self, channel: str, path: str) -> bool:
        item = self._items.get((channel, path))
        return item is not None and item.remote is not None and item.body is not None

    def close(self) -> None:
        """Nothing is pulled any more, and nobody waits."""
        for task in tuple(self._tasks):
            task.cancel()
        for item in self._items.values():
            item.waiters.let_go(come=False)

    # As the supply of shelves.

    def stock(self, shelf: Shelf, path: str, remote: Remote, make: MakeAsset) -> None:
        item = self._items.get((shelf.channel, path))
        if item is None:
            item = self._items[shelf.channel, path] = self._new(shelf, path)
        item.make, item.frame = make, make(b"")
        if item.remote is None:
            self._announce(item, remote)
        if item.body is not None or self._take_from_others(item):
            self._has_come(item)
            return
        shelf.put(path, Asked(partial(self._ask, item)))
        if self._is_eager(item):
            self._pull_soon(item)

    def expect(self, shelf: Shelf, paths: Iterable[str]) -> None:
        for path in paths:
            item = self._new(shelf, path)
            if item.key not in self._items and self._is_eager(item):
                self._items[item.key] = item
                self._pull_soon(item)

    def drop(self, shelf: Shelf, path: str) -> None:
        item = self._items.pop((shelf.channel, path), None)
        if item is None:
            return
        self._set_body(item, None)
        if item.remote is not None:
            alike = self._alike[item.remote.digest]
            alike.remove(item)
            if not alike:
                del self._alike[item.remote.digest]
        if item.task is not None and not item.is_wanted:
            item.task.cancel()

    def _new(self, shelf: Shelf, path: str) -> Item:
        settings = self._settings
        # Longer than it can take: the pull itself ends the wait.
        patience_s = (settings.attempts_max + 1) * (
            settings.object_timeout_s + settings.retry_max_s
        )
        return Item(shelf, path, Waiters(self._turnstile, self._clock, patience_s))

    def _announce(self, item: Item, remote: Remote) -> None:
        item.remote = remote
        self._alike.setdefault(remote.digest, []).append(item)
        for piece in remote.pieces:
            for part in self._alike.get(piece.digest, ()):
                if part.folder == item.folder:
                    part.parent = item
        if item.body is not None and not remote.matches(item.body):
            log.warning("what came ahead is not what was announced", path=item.url_path)
            self._set_body(item, None)

    # What is asked for.

    def _ask(self, item: Item, _query: str) -> Reply | Wait:
        now = self._clock.now()
        self._appetite.note(item.folder, now)
        assert item.remote is not None and item.frame is not None, "asked for once announced"
        if item.body is not None or now < item.failed_until:
            return self._reply(item)
        if self._turnstile.full:
            self._turnstile.turned_away += 1
            return Refusal(503, f"all {self._turnstile.waiters_max} places to wait are taken")
        self._need(item)
        return Arriving(
            item.waiters,
            (0, None),
            partial(self._reply, item),
            item.frame,
            item.remote.size_bytes,
            partial(self._pieces, item),
        )

    def _reply(self, item: Item) -> Reply:
        found = item.shelf.get(item.path)
        if isinstance(found, Asset):
            return found
        if item.body is not None and item.make is not None:  # unlisted while it came
            return item.make(item.body)
        return Refusal(502, f"no upstream gave it: {item.error}")

    async def _pieces(self, item: Item) -> AsyncIterator[bytes]:
        """The bytes as they come, or at once where they come with another object."""
        item.readers += 1
        try:
            if item.task is not None:
                async for piece in item.arrival.pieces():
                    yield piece
                return
            if item.body is None:
                come = asyncio.Event()
                ticket = item.waiters.enter((0, None), lambda _: come.set())
                try:
                    await come.wait()
                finally:
                    item.waiters.leave(ticket)
            if item.body is None:
                raise item.error
            yield bytes(item.body)
        finally:
            item.readers -= 1

    # Where it comes from.

    def _is_eager(self, item: Item) -> bool:
        """Whether to pull it before anybody asks.

        A low-latency segment comes as its parts; only a channel kept warm needs it whole.
        """
        channel = item.key[0]
        if channel in self._warm:
            # What a first snapshot tells is not pulled all at once: `pull` names what comes first.
            return channel in self._segment_s
        if item.remote is not None and item.remote.pieces:
            return False
        requests = item.frame.tally.requests if item.frame is not None else None
        span_s = self._settings.eager_segments * self._segment_s.get(channel, 0.0)
        return self._appetite.lasts(item.folder, requests, self._clock.now(), span_s)

    def _pull_soon(self, *items: Item) -> None:
        """When all that is announced now is known: a segment spares its parts.

        What is only expected is asked for ahead, unless it is announced until then.
        """
        if not self._due:
            asyncio.get_running_loop().call_soon(self._pull_due)
        self._due += items

    def _pull_due(self) -> None:
        due, self._due = self._due, []
        due.sort(key=lambda item: item.remote is not None and not item.remote.pieces)
        for item in due:
            if self._items.get(item.key) is not item or item.body is not None:
                continue
            if item.remote is not None:
                self._need(item)
            elif item.task is None:
                self._start(item, held=True)

    def _need(self, item: Item) -> None:
        """Pull it, unless it comes already, by itself or with another."""
        parent, remote = item.parent, item.remote
        comes = item.task is not None or (parent is not None and parent.task is not None)
        if not comes and remote is not None:
            comes = any(other.task for other in self._alike[remote.digest]) or (
                bool(remote.pieces) and all(map(self._piece_comes, remote.pieces))
            )
        if not comes:
            self._start(item, held=False)

    def _piece_comes(self, piece: Remote) -> bool:
        alike = self._alike.get(piece.digest, ())
        return any(other.body is not None or other.task is not None for other in alike)

    def _start(self, item: Item, *, held: bool) -> None:
        item.arrival = Arrival()
        item.task = asyncio.create_task(self._pull(item, held=held))
        self._tasks.add(item.task)
        item.task.add_done_callback(self._tasks.discard)

    async def _pull(self, item: Item, *, held: bool) -> None:
        arrival = item.arrival
        try:
            if held:
                patience_s = _HELD_TARGET_DURATIONS * (self._segment_s.get(item.key[0], 0.0) + 1.0)
                body = await self._puller.pull_held(
                    item.url_path, patience_s, item.announced, arrival
                )
            else:
                body = await self._puller.pull(item.url_path, item.announced, arrival)
        except asyncio.CancelledError:
            item.task = None
            arrival.fail(RemoteError("it is not pulled any more"))
            raise
        except Exception as error:
            failure = error if isinstance(error, RemoteError) else RemoteError("a fault of ours")
            if failure is not error:
                log.exception("pull failed", error, path=item.url_path)
            item.task = None
            arrival.fail(failure)
            self._has_failed(item, failure, held=held)
        else:
            item.task = None
            self._set_body(item, body)
            if item.remote is not None:
                self._has_come(item)

    def _has_come(self, item: Item) -> None:
        """Its bytes are here: show it, and whatever else it is the bytes of."""
        remote, body = item.remote, item.body
        assert remote is not None and body is not None and item.make is not None
        if self._items.get(item.key) is item:
            item.shelf.put(item.path, item.make(body))
        item.waiters.let_go()
        view = memoryview(body)
        self._share(self._alike.get(remote.digest, ()), item, view)
        begin = 0
        for piece in remote.pieces:
            part = view[begin : begin + piece.size_bytes]
            self._share(self._alike.get(piece.digest, ()), item, part, instead=True)
            begin += piece.size_bytes
        parent = item.parent
        if parent is not None and parent.body is None and self._take_from_others(parent):
            self._has_come(parent)
        self._keep_bound(item)
        self._tell()

    def _share(
        self, items: Iterable[Item], source: Item, view: memoryview, *, instead: bool = False
    ) -> None:
        """Others have the same bytes. With `instead` bytes of their own are not kept."""
        for other in items:
            if other is source or not (
                other.body is None or (instead and isinstance(other.body, bytes))
            ):
                continue
            self._set_body(other, view)
            if other.make is not None and self._items.get(other.key) is other:
                other.shelf.put(other.path, other.make(view))
            other.waiters.let_go()

    def _take_from_others(self, item: Item) -> bool:
        """Whether its bytes are here already, under another name or in pieces."""
        remote = item.remote
        assert remote is not None
        for other in self._alike[remote.digest]:
            if other.body is not None:
                self._set_body(item, memoryview(other.body))
                return True
        bodies = [
            next((o.body for o in self._alike.get(p.digest, ()) if o.body is not None), None)
            for p in remote.pieces
        ]
        here = [body for body in bodies if body is not None]
        if not here or len(here) < len(bodies):
            return False
        self._set_body(item, b"".join(here))
        return True

    def _has_failed(self, item: Item, error: RemoteError, *, held: bool) -> None:
        """Nobody has it. Those for whom it was to come along are pulled for themselves."""
        if held:
            if item.remote is not None:
                self._need(item)
            return
        item.error = error
        item.failed_until = self._clock.now() + self._settings.negative_cache_s
        log.warning("not pulled", path=item.url_path, reason=str(error))
        item.waiters.let_go()
        remote = item.remote
        others = list(self._alike.get(remote.digest, ())) if remote is not None else []
        for piece in remote.pieces if remote is not None else ():
            others += self._alike.get(piece.digest, ())
        for other in (*others, item.parent):
            if other is not None and other is not item and other.body is None and other.is_wanted:
                self._need(other)
        self._tell()

    # Memory.

    def _set_body(self, item: Item, body: bytes | memoryview | None) -> None:
        for old, sign in ((item.body, -1), (body, 1)):
            self.bytes_held += sign * (bytes_held(old) if old is not None else 0)
        item.body = body

    def _keep_bound(self, newest: Item) -> None:
        """Forget the oldest bytes while there are too many; who asks for them has them pulled."""
        if self.bytes_held <= self._settings.store_bytes_max:
            return
        for item in self._items.values():
            if isinstance(item.body, bytes) and item.remote is not None and item is not newest:
                self._set_body(item, None)
                item.shelf.put(item.path, Asked(partial(self._ask, item)))
                self.evicted += 1
            if self.bytes_held <= self._settings.store_bytes_max:
                return

    def _tell(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()
