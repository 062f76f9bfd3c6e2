"""Lines of a feed: written, read again, and refused where they are not whole, in order, ours."""

import itertools
import json

import pytest

from surgecast.delivery.replica.lines import (
    Ended,
    FeedReader,
    Heartbeat,
    Snapshot,
    end_line,
    heartbeat_line,
    init_line,
    part_line,
    set_line,
)
from surgecast.errors import RemoteError
from surgecast.media.part import PartSet
from surgecast.media.remote import remote_of
from surgecast.media.segment import SegmentSet
from tests.support.mirrors import Source
from tests.support.shows import segment_set


def source_with(segments: int = 4, parts: int = 20) -> Source:
    source = Source(next_msn=5, discontinuity_sequence=1)
    for _ in range(segments):
        source.publish()
    source.publish_parts(parts)
    source.lines.clear()
    return source


def reader_after(source: Source) -> FeedReader:
    reader = FeedReader("demo")
    for line in source.log.snapshot():
        reader.take(line)
    return reader


def test_a_snapshot_says_what_is_listed_counted_and_measured():
    source = source_with()
    reader = FeedReader("demo")
    *_, snapshot = [reader.take(line) for line in source.log.snapshot()]
    assert isinstance(snapshot, Snapshot)
    window, parts = source.stage.window, source.stage.low_latency.window
    assert snapshot.shape.renditions == window.renditions
    assert snapshot.shape.segment_duration_s == window.segment_duration_s
    assert snapshot.shape.part_target_s == parts.part_target_s
    for state, shown in ((snapshot.window, window), (snapshot.low_latency, parts)):
        assert (state.first_msn, state.next_msn) == (shown.first_msn, shown.next_msn)
        assert state.discontinuity_sequence == shown.discontinuity_sequence
        assert state.measured == shown.measured
    assert [s.msn for s in snapshot.sets] == [5, 6, 7, 8]
    assert [(p.msn, p.index) for p in snapshot.parts][-1] == parts.edge


def test_a_set_comes_out_as_it_went_in_but_for_its_bytes():
    reader = reader_after(source_with())
    segments = segment_set(9, discontinuity=True, slate=True, duration_s=1.98)
    read = reader.take(set_line(segments))
    assert isinstance(read, SegmentSet)
    payloads = {rung: remote_of(payload) for rung, payload in segments.payloads.items()}
    assert read.payloads == payloads
    assert (read.msn, read.epoch, read.start_utc) == (9, "e0", segments.start_utc)
    assert (read.duration_s, read.discontinuity, read.slate) == (1.98, True, True)


def test_a_part_names_an_init_that_was_told_before():
    source = source_with()
    reader = reader_after(source)
    source.encoder.die(new_init=True)
    part = source.encoder.part()
    with pytest.raises(RemoteError, match="unknown init 'e1'"):
        reader.take(part_line(part))
    assert reader.take(init_line(part.init)) is None
    read = reader.take(part_line(part))
    assert isinstance(read, PartSet)
    assert read.object_name("720p") == part.object_name("720p")
    assert read.init.payloads["720p"] == remote_of(part.init.payloads["720p"])


def test_marks_mean_life_and_the_end():
    reader = reader_after(source_with())
    assert isinstance(reader.take(heartbeat_line()), Heartbeat)
    assert isinstance(reader.take(end_line()), Ended)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"<!DOCTYPE html>\n", "not a line of a feed: '<!DOCTYPE"),
        (b"\xff\xfe\n", "not a line of a feed"),
        (b'{"type":"set","msn":9}\n', "not a line of a feed"),
        (b'{"type":"rumour"}\n', "not a line of a feed"),
        (b'{"type":"heartbeat"}', "ends inside a line"),
        (b'{"type":"heartbeat"}'.ljust(70_000) + b"\n", "a line of 70001 bytes"),
        (heartbeat_line(), "begins with 'heartbeat'"),
        (set_line(segment_set(3)), "begins with 'set'"),
    ],
)
def test_what_is_not_a_feed_is_refused(raw, reason):
    with pytest.raises(RemoteError, match=reason):
        FeedReader("demo").take(raw)


def snapshot_with(**changes: object) -> bytes:
    line = json.loads(next(iter(source_with().log.snapshot())))
    return json.dumps(line | changes).encode() + b"\n"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version 2; this server knows 1"),
        ({"version": 2, "renditions": "in other words"}, "version 2; this server knows 1"),
        ({"channel": "other"}, "of channel 'other'"),
        ({"renditions": []}, "not a line of a feed"),
        ({"segment_duration_s": "2/0"}, "not a line of a feed"),
    ],
)
def test_a_snapshot_of_something_else_is_refused(changes, reason):
    with pytest.raises(RemoteError, match=reason):
        FeedReader("demo").take(snapshot_with(**changes))


def test_a_snapshot_that_goes_back_is_refused():
    reader = FeedReader("demo")
    reader.take(snapshot_with())
    reader.take(set_line(segment_set(8)))
    with pytest.raises(RemoteError, match="goes back to segment 7"):
        reader.take(set_line(segment_set(7)))


@pytest.mark.parametrize(
    "change",
    [
        {"payloads": {}},
        {"payloads": {"720p": [0, "0" * 32]}},
        {"payloads": {"720p": [9, "0" * 31]}},
        {"payloads": {"../720p": [9, "0" * 32]}},
        {"epoch": "../../e"},
        {"duration_s": 0},
        {"duration_s": "2"},
        {"start_utc": None},
        {"msn": -1},
    ],
)
def test_a_set_that_no_server_makes_is_refused(change):
    """A name that leads elsewhere above all: it becomes a URL that is asked for and served."""
    reader = reader_after(source_with())
    line = json.loads(set_line(segment_set(9))) | change
    with pytest.raises(RemoteError, match="not a line of a feed"):
        reader.take(json.dumps(line).encode() + b"\n")


def test_a_snapshot_without_an_end_is_refused_before_memory_is(monkeypatch):
    monkeypatch.setattr("surgecast.delivery.replica.lines.SNAPSHOT_BYTES_MAX", 20_000)
    reader, numbers = FeedReader("demo"), itertools.count()
    reader.take(snapshot_with())
    with pytest.raises(RemoteError, match="snapshot of more than 20000 bytes"):
        while True:
            reader.take(set_line(segment_set(next(numbers))))
