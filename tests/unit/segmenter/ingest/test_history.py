"""The last seconds of a source, for an encoder that goes on where another has left."""

import random

import pytest

from segmenter.bounds import HISTORY_BYTES_MAX
from segmenter.cutter import TsCutter
from segmenter.ingest.feed import Connection
from segmenter.ingest.flv import VIDEO, FlvWriter
from segmenter.ingest.history import HISTORY_S, History, TsHistory
from segmenter.ingest.rtmp_listener import RtmpIngest
from segmenter.ts import tables
from tests.support import ts_maker


def film(history: History, keys: int, *, every_ms: int = 2000, start_ms: int = 0) -> None:
    """`keys` GOPs of a key frame `K<n>` and a frame `f<n>`."""
    for number in range(keys):
        ticks = (start_ms + number * every_ms) % (1 << 32)
        history.note(f"K{number} ".encode(), ticks)
        history.note(f"f{number} ".encode())


def ms() -> History:
    return History(1000, 1 << 32)


@pytest.mark.parametrize(
    ("played_s", "first", "skip_s"),
    [
        (6.0, "K3", 0.0),
        (5.0, "K2", 1.0),
        (6.5, "K3", 0.5),
        (2.5, "K1", 0.5),
        (1.0, "K1", 0.0),  # older than what is kept: the rest is lost
    ],
)
def test_it_goes_on_at_the_key_frame_before_and_skips_the_rest(
    played_s: float, first: str, skip_s: float
) -> None:
    history = ms()
    film(history, 5)
    found = history.rewind(played_s)
    assert found is not None
    assert found[0].decode().split()[0] == first
    assert found[0].endswith(b"f4 ")
    assert found[1] == pytest.approx(skip_s)


def test_the_next_time_counts_from_where_it_went_on() -> None:
    history = ms()
    film(history, 3)
    assert history.rewind(3.0) == (b"K1 f1 K2 f2 ", 1.0)
    assert history.rewind(1.5) == (b"K2 f2 ", 0.5), "3 s and 1.5 s"


def test_time_wraps_and_a_source_that_begins_anew_is_another_time() -> None:
    history = ms()
    film(history, 3, start_ms=(1 << 32) - 3000)
    assert history.rewind(3.0) == (b"K1 f1 K2 f2 ", 1.0)
    history.note(b"again ", 500)
    assert history.rewind(0.0) == (b"again ", 0.0)


def test_nothing_is_kept_before_the_first_key_frame_or_after_a_restart() -> None:
    history = ms()
    history.note(b"x")
    assert history.rewind(0.0) is None and history.size_bytes == 0
    film(history, 2)
    history.restart()
    assert history.rewind(1.0) is None


def test_it_holds_a_few_seconds_and_no_more_bytes_than_its_bound() -> None:
    history = ms()
    film(history, 1000)
    found = history.rewind(0.0)
    assert found is not None and found[0].count(b"K") <= HISTORY_S / 2 + 1
    for _ in range(40):
        history.note(bytes(1 << 20))
        assert history.size_bytes <= HISTORY_BYTES_MAX
    assert history.rewind(5.0) is None, "a key frame too long ago"


def ts_of(frames: int = 25, segments: int = 4, start: int = 10_000) -> bytes:
    return tables(0) + ts_maker.stream(segments=segments, frames=frames, start=start, tail=False)


def test_a_transport_stream_in_any_pieces() -> None:
    """What comes again starts with tables and a key frame, and ends in the middle of a packet."""
    rng, data, history, at = random.Random(3), ts_of(), TsHistory(), 0
    while at < len(data) - 300:
        size = rng.randint(1, 700)
        history.note(data[at : min(at + size, len(data) - 300)])
        at += size
    found = history.rewind(2.4)
    assert found is not None and found[1] == pytest.approx(0.4)
    again = found[0] + data[-300:]
    assert again.startswith(tables(0))
    cut = TsCutter()
    segments = cut.feed(again) + cut.finish()
    assert [segment.start_ticks for segment in segments] == [190_000, 280_000]


def test_what_is_no_transport_stream_is_not_kept() -> None:
    history = TsHistory()
    history.note(bytes(1000) * 20)
    history.note(ts_of())
    assert history.rewind(0.0) is None and history.size_bytes == 0


async def test_an_rtmp_publisher_is_rewound_to_its_key_frame_with_its_prelude() -> None:
    writer, ingest = FlvWriter(), RtmpIngest("peer", 1 << 20, lambda: None)
    connection: Connection = ingest
    config = bytes([0x17, 0, 0, 0, 0]) + b"avcC"
    for item in writer.media(VIDEO, 0, config):
        ingest.put(item)
    for number in range(10):
        body = bytes([0x17 if number % 4 == 0 else 0x27, 1, 0, 0, 0]) + f"pic{number}".encode()
        for item in writer.media(VIDEO, number * 500, body):
            ingest.put(item)
    everything = await anext(ingest)
    assert connection.rewind(3.0) == 1.0
    again = await anext(ingest)
    assert again.startswith(everything[: everything.index(b"pic0") - 16])
    assert b"avcC" in again
    assert [n for n in range(10) if f"pic{n}".encode() in again] == [4, 5, 6, 7, 8, 9]
    for item in writer.media(VIDEO, 5000, bytes([0x27, 1, 0, 0, 0]) + b"later"):
        ingest.put(item)
    assert b"later" in await anext(ingest), "and the stream goes on"
    connection.rejoin(1.0)
    again = await anext(ingest)
    assert again.startswith(b"FLV") and b"avcC" in again
    assert [n for n in range(10) if f"pic{n}".encode() in again] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("every_ms", "back_s", "first"),
    [
        (2000, 0.0, "K4"),
        (2000, 2.0, "K3"),
        (1000, 2.0, "K2"),
        (500, 2.0, "K0"),
        (5000, 2.0, "K4"),  # the one before is too long ago
    ],
)
def test_a_consumer_that_joins_gets_a_little_more_than_it_needs(
    every_ms: int, back_s: float, first: str
) -> None:
    history = ms()
    film(history, 5, every_ms=every_ms)
    found = history.rejoin(back_s)
    assert found is not None and found.decode().split()[0] == first
    assert found.endswith(b"f4 ")
    assert history.rewind(0.0) == (found, 0.0), "its successor counts from where it began"


def test_a_consumer_cannot_join_what_was_not_kept() -> None:
    assert ms().rejoin(2.0) is None
    assert TsHistory().rejoin(2.0) is None
