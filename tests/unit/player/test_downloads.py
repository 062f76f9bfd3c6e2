"""Pieces come in the order of play, a few at a time, and what is hinted at is asked for once."""

import asyncio
from collections import Counter

import pytest

from player.downloads import PARALLEL, Downloads
from player.fetcher import Body, Fetcher, FetchError
from player.part_tracker import Kind, Piece


class Requests(Fetcher):
    """A fetcher whose answers are given by hand."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.held_s: dict[str, float] = {}
        self._answers: dict[str, asyncio.Future[Body]] = {}

    async def get(self, url: str, held_s: float = 0.0) -> Body:
        self.asked[url] += 1
        self.held_s[url] = held_s
        future: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self._answers[url] = future
        return await future

    async def answer(self, url: str, status: int = 200) -> None:
        await asyncio.sleep(0)
        if status == 200:
            self._answers[url].set_result(Body(url, b"media", 0.0, {}))
        else:
            self._answers[url].set_exception(FetchError(f"{url}: HTTP {status}", status))
        for _ in range(3):
            await asyncio.sleep(0)


def piece(url: str) -> Piece:
    return Piece(Kind.PART, url, 1, duration_s=0.25)


@pytest.fixture
async def requests() -> Requests:
    return Requests()


def urls(downloads: Downloads) -> list[tuple[str, bool]]:
    return [(arrived.piece.url, arrived.body is not None) for arrived in downloads.arrived()]


async def closed(downloads: Downloads) -> None:
    for task in downloads.tasks():
        task.cancel()
    await asyncio.gather(*downloads.tasks(), return_exceptions=True)


async def test_in_the_order_of_play(requests: Requests) -> None:
    downloads = Downloads(requests)
    for name in "abcde":
        downloads.add(piece(name))
    downloads.start()
    await requests.answer("b")
    assert requests.asked.total() == PARALLEL and urls(downloads) == []
    await requests.answer("a")
    assert urls(downloads) == [("a", True), ("b", True)]
    assert downloads.pending_s == pytest.approx(0.75) and not downloads.idle
    await closed(downloads)


async def test_a_piece_that_cannot_be_had_does_not_hold_up_the_rest(requests: Requests) -> None:
    downloads = Downloads(requests)
    downloads.add(piece("a"))
    downloads.add(piece("b"))
    downloads.start()
    await requests.answer("a", 404)
    await requests.answer("b")
    assert urls(downloads) == [("a", False), ("b", True)] and downloads.idle


async def test_what_is_hinted_at_is_asked_once_and_may_be_held(requests: Requests) -> None:
    downloads = Downloads(requests)
    downloads.held_s = 6.0
    downloads.ask_ahead("next")
    downloads.ask_ahead("next")
    await requests.answer("next")
    assert urls(downloads) == [] and requests.held_s == {"next": 6.0}
    downloads.add(piece("next"))
    downloads.start()
    assert urls(downloads) == [("next", True)]
    assert requests.asked == {"next": 1}
    assert (downloads.hints_used, downloads.hints_unused) == (1, 0)


async def test_a_hint_that_is_not_kept_is_dropped(requests: Requests) -> None:
    downloads = Downloads(requests)
    downloads.ask_ahead("next")
    await asyncio.sleep(0)
    downloads.add(piece("other"))
    downloads.ask_ahead(None)
    downloads.start()
    await requests.answer("other")
    assert urls(downloads) == [("other", True)] and downloads.hints_unused == 1
    assert downloads.tasks() == set()


async def test_a_server_need_not_hold_what_it_hints_at(requests: Requests) -> None:
    """It may answer 404 before the part is there; once it is listed it is asked for again."""
    downloads = Downloads(requests)
    downloads.ask_ahead("next")
    await requests.answer("next", 404)
    assert downloads.awaited() == set()
    downloads.add(piece("next"))
    downloads.start()
    assert urls(downloads) == []
    downloads.start()
    await requests.answer("next")
    assert urls(downloads) == [("next", True)]
    assert (downloads.hints_used, downloads.hints_unused) == (0, 1)
