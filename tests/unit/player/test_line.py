"""Pieces come in the order of play, a few at a time, and what is hinted at is asked for once."""

import pytest

from player.line import Item, Line
from player.part_tracker import Kind, Piece
from player.places import rebased

BASE = "http://a/live/demo/ll/720p/media.m3u8"


def url(name: str) -> str:
    return f"http://a/live/demo/ll/720p/{name}"


def line(*names: str) -> Line:
    found = Line()
    for name in names:
        found.add(Piece(Kind.PART, url(name), 1, duration_s=0.25), BASE)
    return found


def finish(item: Item, *, came: bool = True) -> None:
    item.under_way = False
    item.size_bytes, item.given_up = (100, False) if came else (None, True)


def arrived(line: Line) -> list[tuple[str, bool]]:
    return [(item.url[-1], not item.given_up) for item in line.arrived()]


def test_in_the_order_of_play() -> None:
    some = line(*"abcde")
    asked = some.due(3, 0.0)
    assert [item.url[-1] for item in asked] == ["a", "b", "c"] and not some.due(3, 0.0)
    finish(asked[1])
    assert arrived(some) == []
    finish(asked[0])
    assert arrived(some) == [("a", True), ("b", True)]
    assert some.pending_s == pytest.approx(0.75) and len(some) == 3
    assert [item.url[-1] for item in some.due(3, 0.0)] == ["d", "e"]


def test_a_piece_that_cannot_be_had_does_not_hold_up_the_rest() -> None:
    some = line("a", "b")
    one, two = some.due(3, 0.0)
    finish(one, came=False)
    finish(two)
    assert arrived(some) == [("a", False), ("b", True)] and not some


def test_what_is_to_be_asked_again_waits_for_its_time() -> None:
    some = line("a")
    (item,) = some.due(1, 0.0)
    assert some.due_at(1) == float("inf")
    item.under_way, item.not_before = False, 5.0
    assert some.due(1, 4.0) == [] and some.due_at(1) == 5.0
    assert some.due(1, 5.0) == [item]


def test_what_is_hinted_at_is_asked_once() -> None:
    some = line()
    ahead, dropped = some.hint(url("n"), BASE)
    assert ahead is not None and dropped is None
    assert some.hint(url("n"), BASE) == (None, None)
    finish(ahead)
    assert arrived(some) == []
    some.add(Piece(Kind.PART, url("n"), 1, duration_s=0.25), BASE)
    assert some.hint(url("n"), BASE) == (None, None), "it is on its way already"
    assert some.due(3, 0.0) == [] and arrived(some) == [("n", True)]
    assert (some.hints_used, some.hints_unused) == (1, 0)


def test_a_hint_that_is_not_kept_is_dropped() -> None:
    some = line()
    ahead, _ = some.hint(url("n"), BASE)
    some.add(Piece(Kind.PART, url("o"), 1, duration_s=0.25), BASE)
    assert some.hint(None, BASE) == (None, ahead) and some.hints_unused == 1
    assert [item.url[-1] for item in some.due(3, 0.0)] == ["o"]


def test_a_server_need_not_hold_what_it_hints_at() -> None:
    """It may answer 404 before the part is there; once it is listed it is asked for again."""
    some = line()
    ahead, _ = some.hint(url("n"), BASE)
    assert ahead is not None
    finish(ahead, came=False)
    some.add(Piece(Kind.PART, url("n"), 1, duration_s=0.25), BASE)
    assert arrived(some) == [] and some.due(3, 0.0) == [ahead]
    assert (some.hints_used, some.hints_unused) == (0, 1)


@pytest.mark.parametrize(
    ("named", "base", "new", "there"),
    [
        (url("7-1.m4s"), BASE, "http://b/live/demo/ll/720p/media.m3u8", "7-1.m4s"),
        (
            "http://a/live/demo/720p/7-1.ts?x=1",
            "http://a/live/demo/s/T/media.m3u8",
            "http://b/p/live/demo/s/T/media.m3u8",
            "http://b/p/live/demo/720p/7-1.ts?x=1",
        ),
        ("http://c/7-1.ts", BASE, "http://b/m.m3u8", "http://c/7-1.ts"),
        ("http://a/1.ts", "http://a/m.m3u8", "http://b/x/m.m3u8", "http://b/x/1.ts"),
        ("http://a/a:1.ts", "http://a/m.m3u8", "http://b/m.m3u8", "http://b/a:1.ts"),
    ],
)
def test_the_same_object_on_another_server(named: str, base: str, new: str, there: str) -> None:
    expected = there if "//" in there else f"http://b/live/demo/ll/720p/{there}"
    assert rebased(named, base, new) == expected
    assert rebased(named, base, base) == named
