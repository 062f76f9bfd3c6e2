"""Each object is pulled once, whoever asks under whatever name, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge_relay.arrival import Arrival
from edge_relay.depot import Depot
from edge_relay.pull_settings import PullSettings
from edge_relay.puller import Announced
from surgecast.clock import ManualClock
from surgecast.delivery.assets import Asset, Refusal, Tally, private
from surgecast.delivery.replica.arriving import Arriving
from surgecast.delivery.shelf import Asked, Shelf
from surgecast.delivery.waiting import Turnstile
from surgecast.errors import RemoteError
from surgecast.media.remote import joined, remote_of

TALLY = Tally()


class Above:
    """A puller whose upstream answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held: list[str] = []
        self._answers: dict[str, asyncio.Future[bytes]] = {}

    async def pull(self, path: str, announced: Announced, arrival: Arrival) -> bytes:
        self.asked.append(path.removeprefix("/live/demo/"))
        body = await self._answer(path.removeprefix("/live/demo/"))
        arrival.begin(len(body))
        arrival.add(body)
        arrival.finish()
        return body

    async def pull_held(
        self, path: str, patience_s: float, announced: Announced, arrival: Arrival
    ) -> bytes:
        self.held.append(path.removeprefix("/live/demo/"))
        return await self._answer(path.removeprefix("/live/demo/"))

    def _answer(self, path: str) -> "asyncio.Future[bytes]":
        return self._answers.setdefault(path, asyncio.get_running_loop().create_future())

    def give(self, path: str, body: bytes) -> None:
        self._answer(path).set_result(body)

    def fail(self, path: str, error: Exception | None = None) -> None:
        self._answers.pop(path).set_exception(error or RemoteError("gone"))


class Bench:
    """A depot, its shelf and its upstream."""

    def __init__(self, **settings: float) -> None:
        self.clock = ManualClock()
        self.above = Above()
        self.turnstile = Turnstile(100)
        pull = PullSettings(upstreams=("http://above",), **settings)
        self.depot = Depot(pull, self.above, self.turnstile, self.clock)
        self.depot.set_pace("demo", 2.0)
        self.shelf = Shelf({}, "demo", self.depot)

    def stock(self, path: str, *bodies: bytes) -> None:
        """Announce an object; of several bodies it is made in a row."""
        remotes = [remote_of(body) for body in bodies]
        remote = remotes[0] if len(remotes) == 1 else joined(remotes)
        self.shelf.stock(path, remote, lambda body: Asset(body, "video/mp2t", private, TALLY))

    def ask(self, path: str) -> "asyncio.Future[object]":
        """What a viewer gets, when he gets it."""
        route = self.shelf.get(path)
        reply = route.ask("") if isinstance(route, Asked) else route
        got = asyncio.get_running_loop().create_future()
        if isinstance(reply, Arriving):
            wait = reply
            wait.room.enter(wait.target, lambda come: got.set_result(come and wait.reply()))
        else:
            got.set_result(reply)
        return got

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench(eager_segments=0)
    yield made
    made.depot.close()
    await made.settle()


async def body_of(got: "asyncio.Future[object]") -> bytes:
    asset = await got
    assert isinstance(asset, Asset), asset
    return bytes(asset.body)


async def test_all_who_ask_wait_for_one_pull_and_those_after_it_for_none(bench):
    bench.stock("720p/1.ts", b"one")
    crowd = [bench.ask("720p/1.ts") for _ in range(50)]
    await bench.settle()
    assert bench.above.asked == ["720p/1.ts"] and bench.turnstile.waiting == 50
    bench.above.give("720p/1.ts", b"one")
    assert {await body_of(got) for got in crowd} == {b"one"}
    assert isinstance(bench.shelf.get("720p/1.ts"), Asset) and bench.turnstile.waiting == 0


async def test_equal_payloads_under_two_names_are_pulled_once(bench):
    """A rung that stands in for one that was shed."""
    bench.stock("720p/1.ts", b"same")
    bench.stock("480p/1.ts", b"same")
    both = [bench.ask("720p/1.ts"), bench.ask("480p/1.ts")]
    await bench.settle()
    assert bench.above.asked == ["720p/1.ts"]
    bench.above.give("720p/1.ts", b"same")
    assert [await body_of(got) for got in both] == [b"same", b"same"]
    assert bench.depot.bytes_held == 4
    bench.stock("240p/1.ts", b"same")
    assert isinstance(bench.shelf.get("240p/1.ts"), Asset)


async def test_where_the_pull_of_one_fails_those_alike_are_pulled_themselves(bench):
    bench.stock("720p/1.ts", b"same")
    bench.stock("480p/1.ts", b"same")
    first, second = bench.ask("720p/1.ts"), bench.ask("480p/1.ts")
    await bench.settle()
    bench.above.fail("720p/1.ts")
    await bench.settle()
    assert (await first).status == 502
    assert bench.above.asked == ["720p/1.ts", "480p/1.ts"]
    bench.above.give("480p/1.ts", b"same")
    assert await body_of(second) == b"same"
    assert isinstance(bench.shelf.get("720p/1.ts"), Asset)


async def test_a_whole_segment_is_made_of_parts_that_are_here(bench):
    for path, body in (("ll/720p/1.0.m4s", b"ab"), ("ll/720p/1.1.m4s", b"cde")):
        bench.stock(path, body)
        bench.ask(path)
        bench.above.give(path, body)
    await bench.settle()
    bench.stock("ll/720p/1.m4s", b"ab", b"cde")
    assert await body_of(bench.ask("ll/720p/1.m4s")) == b"abcde"
    assert len(bench.above.asked) == 2
    assert bench.depot.bytes_held == 5, "parts are views of the segment, not copies"
    assert await body_of(bench.ask("ll/720p/1.1.m4s")) == b"cde"


async def test_a_whole_segment_waits_for_parts_that_are_on_their_way(bench):
    for path, body in (("ll/720p/1.0.m4s", b"ab"), ("ll/720p/1.1.m4s", b"cde")):
        bench.stock(path, body)
        bench.ask(path)
    bench.stock("ll/720p/1.m4s", b"ab", b"cde")
    whole = bench.ask("ll/720p/1.m4s")
    bench.above.give("ll/720p/1.0.m4s", b"ab")
    await bench.settle()
    assert not whole.done() and len(bench.above.asked) == 2
    bench.above.give("ll/720p/1.1.m4s", b"cde")
    assert await body_of(whole) == b"abcde"


async def test_a_whole_segment_whose_part_does_not_come_is_pulled_whole(bench):
    bench.stock("ll/720p/1.0.m4s", b"ab")
    part = bench.ask("ll/720p/1.0.m4s")
    bench.stock("ll/720p/1.1.m4s", b"cde")
    second = bench.ask("ll/720p/1.1.m4s")
    bench.stock("ll/720p/1.m4s", b"ab", b"cde")
    whole = bench.ask("ll/720p/1.m4s")
    await bench.settle()
    bench.above.fail("ll/720p/1.0.m4s")
    await bench.settle()
    assert (await part).status == 502 and "ll/720p/1.m4s" in bench.above.asked
    bench.above.give("ll/720p/1.m4s", b"abcde")
    assert await body_of(whole) == b"abcde" and await body_of(second) == b"cde"
    assert await body_of(bench.ask("ll/720p/1.0.m4s")) == b"ab"


async def test_parts_of_a_segment_that_is_pulled_whole_come_with_it(bench):
    bench.stock("ll/720p/1.0.m4s", b"ab")
    bench.stock("ll/720p/1.1.m4s", b"cde")
    bench.stock("ll/720p/1.m4s", b"ab", b"cde")
    whole, part = bench.ask("ll/720p/1.m4s"), bench.ask("ll/720p/1.1.m4s")
    await bench.settle()
    assert bench.above.asked == ["ll/720p/1.m4s"]
    bench.above.give("ll/720p/1.m4s", b"abcde")
    assert await body_of(whole) == b"abcde" and await body_of(part) == b"cde"


async def test_what_failed_is_refused_for_a_moment_and_then_tried_again(bench):
    bench.stock("720p/1.ts", b"one")
    first = bench.ask("720p/1.ts")
    await bench.settle()
    bench.above.fail("720p/1.ts")
    await bench.settle()
    refused = await first
    assert isinstance(refused, Refusal) and refused.status == 502
    assert (await bench.ask("720p/1.ts")).status == 502
    await bench.settle()
    assert bench.above.asked == ["720p/1.ts"]
    bench.clock.advance(1.1)
    bench.ask("720p/1.ts")
    await bench.settle()
    assert bench.above.asked == ["720p/1.ts"] * 2


async def test_a_viewer_gets_an_object_that_left_the_window_while_it_came(bench):
    bench.stock("720p/1.ts", b"one")
    got = bench.ask("720p/1.ts")
    await bench.settle()
    bench.shelf.remove("720p/1.ts")
    bench.above.give("720p/1.ts", b"one")
    assert await body_of(got) == b"one"
    assert bench.shelf.get("720p/1.ts") is None


async def test_an_object_that_leaves_while_nobody_waits_is_not_pulled_any_more():
    bench = Bench()
    bench.depot.keep_warm(["demo"])
    bench.stock("720p/1.ts", b"one")
    await bench.settle()
    assert bench.above.asked == ["720p/1.ts"]
    bench.shelf.remove("720p/1.ts")
    await bench.settle()
    assert bench.above._answers["720p/1.ts"].cancelled()


async def test_what_is_expected_is_asked_for_ahead_where_the_rung_is_wanted():
    bench = Bench()
    bench.stock("ll/720p/1.0.m4s", b"ab")
    bench.ask("ll/720p/1.0.m4s")
    bench.above.give("ll/720p/1.0.m4s", b"ab")
    bench.shelf.expect(["ll/720p/1.1.m4s", "ll/480p/1.1.m4s"])
    await bench.settle()
    assert bench.above.held == ["ll/720p/1.1.m4s"]
    bench.above.give("ll/720p/1.1.m4s", b"cd")
    await bench.settle()
    assert bench.shelf.get("ll/720p/1.1.m4s") is None, "not before it is announced"
    bench.stock("ll/720p/1.1.m4s", b"cd")
    assert isinstance(bench.shelf.get("ll/720p/1.1.m4s"), Asset)
    assert bench.above.asked == ["ll/720p/1.0.m4s"]
    bench.depot.close()


async def test_what_came_ahead_and_is_not_what_was_announced_is_pulled_again():
    bench = Bench()
    bench.depot.keep_warm(["demo"])
    bench.shelf.expect(["ll/720p/1.1.m4s"])
    await bench.settle()
    bench.above.give("ll/720p/1.1.m4s", b"lie")
    await bench.settle()
    bench.above._answers.clear()
    bench.stock("ll/720p/1.1.m4s", b"cd")
    await bench.settle()
    assert bench.above.asked == ["ll/720p/1.1.m4s"]
    bench.above.give("ll/720p/1.1.m4s", b"cd")
    assert await body_of(bench.ask("ll/720p/1.1.m4s")) == b"cd"
    bench.depot.close()


async def test_what_was_expected_and_never_came_is_let_go():
    """An encoder that died: the next part has another name."""
    bench = Bench()
    bench.depot.keep_warm(["demo"])
    bench.shelf.expect(["ll/720p/1.1.m4s"])
    await bench.settle()
    bench.shelf.remove("ll/720p/1.1.m4s")
    await bench.settle()
    assert bench.above._answers["ll/720p/1.1.m4s"].cancelled()


async def test_those_who_wait_are_counted_and_too_many_are_refused():
    bench = Bench()
    bench.turnstile.waiters_max = 2
    bench.stock("720p/1.ts", b"one")
    bench.ask("720p/1.ts")
    bench.ask("720p/1.ts")
    refused = await bench.ask("720p/1.ts")
    assert isinstance(refused, Refusal) and refused.status == 503
    bench.depot.close()
    await bench.settle()
    assert bench.turnstile.waiting == 0


async def test_a_full_store_forgets_the_oldest_and_routes_stay():
    bench = Bench(store_bytes_max=5)
    for number in range(3):
        bench.stock(f"720p/{number}.ts", f"a{number}".encode())
        bench.ask(f"720p/{number}.ts")
        bench.above.give(f"720p/{number}.ts", f"a{number}".encode())
        await bench.settle()
    assert bench.depot.evicted == 1 and bench.depot.bytes_held == 4
    assert isinstance(bench.shelf.get("720p/0.ts"), Asked)
    assert isinstance(bench.shelf.get("720p/2.ts"), Asset)
    bench.depot.close()


async def test_a_fault_of_ours_leaves_nobody_waiting(bench):
    bench.stock("720p/1.ts", b"one")
    got = bench.ask("720p/1.ts")
    await bench.settle()
    bench.above.fail("720p/1.ts", KeyError("a bug"))
    await bench.settle()
    assert (await got).status == 502
