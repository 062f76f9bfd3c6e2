"""The index of an archive: what is read of it, and what is left out."""

import json
import zlib
from fractions import Fraction
from typing import Any

import pytest

from surgecast.media.archive_index import read_shows, show_lines
from surgecast.media.catalog import Catalog, Entry, Show
from surgecast.media.segment import Rendition

RENDITIONS = tuple(
    Rendition(name, 640, 360, Fraction(30000, 1001), 900_000, 700_000, "avc1.4d401f,mp4a.40.2")
    for name in ("high", "low")
)


def entry(number: int, start_utc: float = 1_767_225_600.0) -> Entry:
    start = start_utc + 2.0 * number
    return Entry(number, number + 3, "mw1", start, 2.0, number == 2, False, 1, (900, 90))


def show(first: int = 0, *, name: str | None = None) -> Show:
    made = Show(RENDITIONS, 2)
    for number in range(first, first + 5):
        made.append(entry(number))
    made.unlist_before(first + 1)
    made.name = name
    return made


def line(value: Any) -> bytes:
    text = json.dumps(value).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def written(*shows: Show) -> list[bytes]:
    return [line for show in shows for line in show_lines(show)]


def test_what_is_written_is_read() -> None:
    content = b"".join(written(show(name="20260101-000000"), show(10)))
    shows, unusable, whole_bytes = read_shows(content)
    assert (unusable, whole_bytes) == (0, len(content))
    assert [found.name for found in shows] == ["20260101-000000", None]
    for found, made in zip(shows, (show(), show(10)), strict=True):
        assert found.renditions == RENDITIONS and found.target_duration_s == 2
        assert list(found.entries) == list(made.entries)
        assert (found.first_listed, found.listed_bytes) == (made.first_listed, made.listed_bytes)


def test_a_show_whose_end_is_damaged_can_be_forgotten() -> None:
    """It is not the open one for ever, so that its bytes leave with the budget."""
    lines = written(show(name="20260101-000000"), show(10))
    lines[6] = b"x" + lines[6][1:]
    shows, unusable, _ = read_shows(b"".join(lines))
    assert unusable == 1
    assert [found.name for found in shows] == ["20260101-000002", None], "by its first in the list"
    catalog = Catalog(60.0, 5000)
    catalog.shows = [*shows]
    assert len(catalog.shrink()) == 5 and catalog.shows == shows[1:]


def test_a_show_of_which_nothing_is_left_is_none() -> None:
    shows, unusable, _ = read_shows(b"".join([*written(Show(RENDITIONS, 2)), *written(show())]))
    assert unusable == 0 and [len(found.entries) for found in shows] == [5]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([5, 8, "mw1", 1.8e9, 2.0, 0, 1, [900], 1], id="a rung without its size"),
        pytest.param([5, 8, "mw1", 1.8e9, 2.0, 0, 1, [900, 1 << 32], 1], id="a size"),
        pytest.param([5, 8, "mw1", 1.8e9, 2.0, 0, 1, [900, -1], 1], id="a size below nothing"),
        pytest.param([1 << 70, 8, "mw1", 1.8e9, 2.0, 0, 1, [900, 90], 1], id="a number"),
        pytest.param([5.5, 8, "mw1", 1.8e9, 2.0, 0, 1, [900, 90], 1], id="half a number"),
        pytest.param([5, 8, "../up", 1.8e9, 2.0, 0, 1, [900, 90], 1], id="a path"),
        pytest.param([5, 8, "mw1", float("nan"), 2.0, 0, 1, [900, 90], 1], id="no date"),
        pytest.param([5, 8, "mw1", 1e300, 2.0, 0, 1, [900, 90], 1], id="a date beyond all years"),
        pytest.param([5, 8, "mw1", 1.8e9, float("inf"), 0, 1, [900, 90], 1], id="for ever"),
        pytest.param([5, 8, "mw1", 1.8e9, 2.0, 9, 1, [900, 90], 1], id="flags"),
        pytest.param([5, 8, "mw1", 1.8e9, 2.0, 0, 1, [900, 90], -1], id="first listed"),
        pytest.param([4, 8, "mw1", 1.8e9, 2.0, 0, 1, [900, 90], 1], id="a number again"),
        pytest.param([5], id="a short line"),
        pytest.param({"end": "../../etc"}, id="a name that is a path"),
        pytest.param({"end": ["x"]}, id="a name that is none"),
        pytest.param({"ladder": [], "target_duration_s": 2}, id="a ladder of nothing"),
        pytest.param({"ladder": [{}], "target_duration_s": 2}, id="a rung of nothing"),
        pytest.param(None, id="null"),
    ],
)
def test_values_that_no_archive_has_cost_their_line(value: Any) -> None:
    shows, unusable, _ = read_shows(b"".join([*written(show()), line(value)]))
    assert unusable == 1
    assert len(shows) == 1 and shows[0].open and list(shows[0].entries) == list(show().entries)


@pytest.mark.parametrize("rate", ["1/0", "1e999999999", "0", "25.5", "nan", 25])
def test_a_frame_rate_that_is_none(rate: object) -> None:
    ladder = json.loads(written(show())[0].partition(b" ")[2])
    ladder["ladder"][0]["frame_rate"] = rate
    assert read_shows(line(ladder)) == ([], 1, len(line(ladder)))


def test_a_line_that_is_far_too_deep() -> None:
    text = b"[" * 100_000
    content = b"%08x %s\n" % (zlib.crc32(text), text)
    assert read_shows(content)[:2] == ([], 1)


def test_damage_counts_once_for_each_line() -> None:
    """Only a line feed ends one."""
    lines = written(show())
    lines[2] = lines[2][:20] + b"\r\r\x0b" + lines[2][20:]
    shows, unusable, _ = read_shows(b"".join(lines))
    assert unusable == 1 and len(shows[0].entries) == 4


def test_nothing_is_ended_twice() -> None:
    ended = b"".join([*written(show(name="one")), line({"end": "two"})])
    shows, unusable, _ = read_shows(ended)
    assert unusable == 1 and shows[0].name == "one"
    assert read_shows(line({"end": "two"}))[:2] == ([], 1)
