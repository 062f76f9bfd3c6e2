"""Targets that read media: what FFmpeg's pipes hold, and what a checker downloads."""

from dataclasses import replace
from fractions import Fraction

from segmenter.cmaf_writer import chunk
from segmenter.cutter import CutSegment, TsCutter
from segmenter.part_cutter import CutPart, PartCutter
from segmenter.part_grid import PartGrid
from segmenter.ts import PACKET_BYTES, h264_codec, seal, set_pts
from surgecast.errors import LocalError, RemoteError
from surgecast.hls import cmaf, sps, ts
from tests.fuzz.target import Target, in_pieces, refused
from tests.support import fragmented_mp4 as mp4
from tests.support import fragments, transport_stream, ts_maker

_SEGMENT_BYTES_MAX = 1 << 20
_GRID = PartGrid(Fraction(25), segment_frames=50, part_frames=5)


def _streams() -> list[bytes]:
    small = [ts_maker.stream(segments=2, frames=3, seed=seed) for seed in range(3)]
    return [*small, ts_maker.stream(segments=1, frames=2, sound=False)]


def _in_one_piece(seeds: list[bytes]) -> list[bytes]:
    return [b"\0" + data for data in seeds] + [b"\2\0\7\1\1" + data for data in seeds[:1]]


def _cut(pieces: list[bytes]) -> tuple[list[CutSegment], str]:
    cutter, found = TsCutter(_SEGMENT_BYTES_MAX), list[CutSegment]()
    try:
        for piece in pieces:
            found += cutter.feed(piece)
        found += cutter.finish()
    except LocalError as error:
        return found, refused(error)
    return found, f"{len(found)} segments"


def ts_cutter(data: bytes) -> str:
    """The same segments however the pipe hands out its bytes; LocalError for what is none."""
    whole, pieces = in_pieces(data)
    (found, outcome), (again, other) = _cut([whole]), _cut(pieces)
    # A lost sync byte is seen a whole read at a time, so the two may have got differently far.
    assert "LocalError" in outcome + other or (found, outcome) == (again, other)
    for segment in found:
        assert len(segment.packets) % PACKET_BYTES == 0 and segment.pieces
    return outcome


def ts_seal(data: bytes) -> str:
    """What was cut is sealed, or refused with LocalError; nothing but the tables is added."""
    shift = int.from_bytes(data[:5], "big") - (1 << 39)
    packets = data[5:]
    packets = packets[: len(packets) // PACKET_BYTES * PACKET_BYTES]
    try:
        sealed = seal(packets, shift, shift & 0xFFFF)
        assert len(sealed) % PACKET_BYTES == 0 and len(sealed) <= len(packets) + 34 * PACKET_BYTES
        h264_codec(sealed)
        assert len(set_pts(packets, shift % (1 << 33))) == len(packets)
    except LocalError as error:
        return refused(error)
    return "sealed"


def cmaf_cutter(data: bytes) -> str:
    """The same parts however the pipe hands out its bytes; LocalError for what is none."""
    whole, pieces = in_pieces(data)
    once, again = _parts([whole]), _parts(pieces)
    assert "LocalError" in once + again or once == again
    return once


def _parts(pieces: list[bytes]) -> str:
    cutter, parts, written = PartCutter(_GRID, _SEGMENT_BYTES_MAX), list[CutPart](), 0
    try:
        for piece in pieces:
            parts += cutter.feed(piece)
    except LocalError as error:
        return refused(error)
    for part in parts:
        # They are written at their place on a channel's timeline, which is never below zero.
        video = replace(part.video, start=0)
        runs = [(1, video)] + ([(2, replace(part.sound, start=0))] if part.sound else [])
        written += len(chunk(part.index, runs))
    return f"{len(parts)} parts" if len(parts) < 10 else "parts"


def hls_ts(data: bytes) -> str:
    """The checker reads any bytes as a segment, or says RemoteError."""
    try:
        found = ts.read(data)
    except RemoteError as error:
        return refused(error)
    return f"{len(found.tracks)} tracks, {len(found.sps)} SPS"


def parameter_set(data: bytes) -> str:
    try:
        return f"height {sps.parse_sps(data).height.bit_length()} bits"
    except RemoteError as error:
        return refused(error)


def fragmented(data: bytes) -> str:
    """An init section and a fragment of any bytes, or RemoteError."""
    size = int.from_bytes(data[:2], "big")
    try:
        init = cmaf.read_init(data[2 : 2 + size])
        media = cmaf.read(data[2 + size :], init)
    except RemoteError as error:
        return refused(error)
    return f"{len(media.tracks)} tracks"


def _fragmented() -> list[bytes]:
    init = fragments.init()
    head = len(init).to_bytes(2, "big") + init
    return [head + fragments.chunk(index=index) for index in range(2)]


TARGETS = (
    Target("ts_cutter", lambda: _in_one_piece(_streams()), ts_cutter),
    Target(
        "ts_seal",
        lambda: [bytes([128, 0, 0, 0, seed]) + data for seed, data in enumerate(_streams())],
        ts_seal,
    ),
    Target(
        "cmaf_cutter", lambda: [b"\0" + mp4.stream(12), b"\1\0\x99" + mp4.stream(7)], cmaf_cutter
    ),
    Target("hls_ts", lambda: [transport_stream.segment()], hls_ts),
    Target("sps", lambda: [transport_stream.sps(320, 176)], parameter_set),
    Target("fmp4", _fragmented, fragmented),
)
