"""Cut sets on the wire: they come out as they went in, or are refused with words."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from segmenter.bounds import HEAD_BYTES_MAX
from segmenter.cutter import CutSegment, Pes
from segmenter.encoder import CutSet
from segmenter.part_matcher import CutPartSet
from segmenter.remote.wire import (
    outgoing_part,
    outgoing_set,
    read_part,
    read_set,
)
from segmenter.ts import AUDIO_PID, VIDEO_PID
from surgecast.errors import RemoteError
from tests.support import ts_maker
from tests.support.cut_sets import GRID, LADDER, cut_parts, cut_sets, without

SET = outgoing_set(3, cut_sets(1)[0]).encode(0.25)
PARTS = cut_parts(50)
FIRST_PART = outgoing_part(3, PARTS[0], relieves=True).encode(0.0)
INITS = dict(PARTS[0].inits)


def test_a_set_comes_out_as_it_went_in() -> None:
    cut = cut_sets(1)[0]
    pushed = read_set(SET, LADDER)
    assert (pushed.run, pushed.waited_s) == (3, 0.25)
    assert pushed.cut.start_ticks == cut.start_ticks
    for rung, segment in cut.segments.items():
        assert pushed.cut.segments[rung].packets == segment.packets
        assert pushed.cut.segments[rung].duration_ticks == segment.duration_ticks


def test_parts_come_out_as_they_went_in() -> None:
    inits: dict[str, bytes] = {}
    for place, cut in enumerate(PARTS):
        body = outgoing_part(3, cut, relieves=place == 0).encode(0.0)
        pushed = read_part(body, LADDER, GRID, inits)
        inits = dict(pushed.cut.inits)
        assert pushed.cut == cut
        assert pushed.relieves == (place == 0)


def test_only_the_first_part_of_a_segment_brings_the_inits() -> None:
    later = outgoing_part(3, PARTS[1], relieves=False).encode(0.0)
    assert len(later) < len(FIRST_PART)
    with pytest.raises(RemoteError, match="the first part of a segment brings them"):
        read_part(later, LADDER, GRID, {})


def test_a_rung_may_be_missing_but_not_the_lowest() -> None:
    cut = cut_sets(1)[0]
    fewer = outgoing_set(1, without(cut, "high")).encode(0)
    assert list(read_set(fewer, LADDER).cut.segments) == ["low"]
    with pytest.raises(RemoteError, match="low is missing"):
        read_set(outgoing_set(1, without(cut, "low")).encode(0), LADDER)


def changed(body: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The same object with another head."""
    length = int.from_bytes(body[:4], "big")
    head = json.loads(body[4 : 4 + length])
    change(head)
    text = json.dumps(head).encode()
    return len(text).to_bytes(4, "big") + text + body[4 + length :]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "head of 0 bytes"),
        (b"\x00\x00\x00\x05", "ends in its head"),
        ((HEAD_BYTES_MAX + 1).to_bytes(4, "big") + b"{}", f"allowed 1 to {HEAD_BYTES_MAX}"),
        (b"\xff\xff\xff\xff" + b"x" * 100, "head of 4294967295 bytes"),
        (b"\x00\x00\x00\x03{}}", "head"),
        (SET[:-1], "the head says"),
        (SET + b"x", "the head says"),
        (SET[:-1] + bytes([SET[-1] ^ 1]), "low: its digest"),
        (changed(SET, lambda h: h.update(version=2)), "version: 2"),
        (changed(SET, lambda h: h.update(run=-1)), "run"),
        (changed(SET, lambda h: h.update(run="1")), "run"),
        (changed(SET, lambda h: h.update(start_ticks=1 << 33)), "start_ticks"),
        (changed(SET, lambda h: h.update(waited_s=float("inf"))), "waited_s"),
        (changed(SET, lambda h: h.update(start_ticks=0)), "pictures from"),
        (changed(SET, lambda h: h["rungs"][0].update(rung="top")), "rung top"),
        (changed(SET, lambda h: h["rungs"][0].update(rung="low")), "comes twice"),
        (changed(SET, lambda h: h["rungs"][0].update(bytes=2**53)), "the head says"),
        (changed(SET, lambda h: h["rungs"][0].update(sha256="00")), "rungs.0.sha256"),
        (changed(SET, lambda h: h.update(rungs=[])), "rungs"),
        (changed(SET, lambda h: h.update(rungs=h["rungs"] * 20)), "rungs"),
    ],
)
def test_a_set_that_is_none_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        read_set(body, LADDER)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (changed(FIRST_PART, lambda h: h.update(index=10)), "a segment here has 10 parts"),
        (changed(FIRST_PART, lambda h: h.update(index=1)), "no other, starts with a key frame"),
        (changed(FIRST_PART, lambda h: h.update(start_ticks=7)), "its video is not"),
        (changed(FIRST_PART, lambda h: h["inits"].pop()), "the head says"),
        (changed(FIRST_PART, lambda h: h["inits"][0].update(rung="low")), "inits of"),
        (
            changed(FIRST_PART, lambda h: h["rungs"][0]["video"].update(sizes=[2**32 - 1])),
            "durations, sizes and flags|samples have",
        ),
        (
            changed(FIRST_PART, lambda h: h["rungs"][0]["video"].update(durations=[1] * 9999)),
            "durations",
        ),
        (
            changed(FIRST_PART, lambda h: h["rungs"][0]["sound"].update(start=2**40)),
            "its sound begins",
        ),
        (changed(FIRST_PART, lambda h: h["rungs"][0].update(sound=None)), "are not those"),
    ],
)
def test_a_part_that_is_none_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        read_part(body, LADDER, GRID, INITS)


def test_an_init_that_is_none_is_refused() -> None:
    cut = PARTS[0]
    for init in (b"\x00" * 40, b"", INITS["low"] + b"x", INITS["low"][:-9], b"x" * 70_000):
        other = {**INITS, "low": init}
        bad = CutPartSet(cut.start_ticks, cut.index, cut.parts, other)
        with pytest.raises(RemoteError, match="init of rung low"):
            read_part(outgoing_part(1, bad, relieves=False).encode(0), LADDER, GRID, {})


def packets(*units: bytes) -> bytes:
    return b"".join(units)


def picture(number: int, **changes: Any) -> bytes:
    body = ts_maker.SPS if number == 0 else b"\x00\x00\x01\x41"
    values = {"pid": VIDEO_PID, "pts": 126_000 + 3600 * number, "key": number == 0, **changes}
    return ts_maker.pes(body=body, **values)


PICTURES = [picture(number) for number in range(50)]


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (packets(*PICTURES)[:-1], "not whole transport packets"),
        (b"", "not whole transport packets"),
        (b"G" * 188, "PID"),
        (packets(*PICTURES[1:], PICTURES[0]), "no key frame|start with a picture"),
        (packets(ts_maker.pes(AUDIO_PID, 126_000, b"a", key=True), *PICTURES), "with a picture"),
        (packets(*PICTURES[:-1]), "49 pictures"),
        (packets(*PICTURES, picture(50)), "51 pictures"),
        (packets(*PICTURES[:-1], picture(60)), "beyond its end"),
        (packets(*PICTURES[:-2], PICTURES[-1], PICTURES[-2]), "not in order"),
        (packets(*PICTURES, ts_maker.pes(AUDIO_PID, 9_000_000, b"a")), "sound is not of its time"),
        (packets(*PICTURES) + bytes([0x47, 0, 0, 0x10]) + bytes(184), "PID"),
        (packets(*PICTURES) + bytes([0x47, 1, 0, 0x30, 250]) + bytes(183), "adaptation field"),
        (packets(*PICTURES) + bytes([0x47, 0x41, 0, 0x30, 183]) + bytes(183), "PES header"),
    ],
)
def test_media_that_is_no_cut_segment_is_refused(media: bytes, words: str) -> None:
    """Whatever passes here can be sealed: no number is given out for nothing."""
    cut = cut_sets(1)[0]
    segment = CutSegment(126_000, 180_000, (Pes(True, 126_000, media),))
    bad = CutSet(126_000, {**cut.segments, "low": segment})
    with pytest.raises(RemoteError, match=words):
        read_set(outgoing_set(1, bad).encode(0), LADDER)
