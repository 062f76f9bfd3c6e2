"""Cuts what FFmpeg writes for one rung into segments that start at key frames.

Fed with bytes in any pieces, it yields `CutSegment`s. Video is cut at each random-access
indicator. Audio goes by its time stamp, not by its place in the stream: the muxer may write the
same audio a little earlier in one rung than in another, and segments of different rungs must fit
one another without a frame of sound missing or twice.
"""

from dataclasses import dataclass, field

from segmenter.ts import AUDIO_PID, PACKET_BYTES, VIDEO_PID, pes_ticks, ticks_after
from surgecast.errors import LocalError

_SYNC = 0x47
_AUDIO_LATE_TICKS_MAX = 45_000
"""How long a finished segment waits for its last audio (0.5 s of video)."""


@dataclass(frozen=True, slots=True)
class Pes:
    """One PES packet: whole transport packets of one PID."""

    is_video: bool
    pts: int
    packets: bytes


@dataclass(frozen=True, slots=True)
class CutSegment:
    """From one key frame to the next, times as FFmpeg wrote them (90 kHz, 33 bits)."""

    start_ticks: int
    duration_ticks: int
    pieces: tuple[Pes, ...]
    """In time order; the key frame is the first."""

    @property
    def packets(self) -> bytes:
        return b"".join(piece.packets for piece in self.pieces)

    @property
    def size_bytes(self) -> int:
        return sum(len(piece.packets) for piece in self.pieces)


@dataclass(slots=True)
class _Open:
    """A segment that still grows."""

    start: int
    pieces: list[Pes] = field(default_factory=list)
    end: int | None = None


class TsCutter:
    """One rung's stream in, segments out. `segment_bytes_max` bounds what it holds."""

    def __init__(self, segment_bytes_max: int = 64 << 20) -> None:
        self._segment_bytes_max = segment_bytes_max
        self._held_bytes = 0
        self._rest = b""
        self._pending: bytearray | None = None
        self._pending_is_video = False
        self._open: list[_Open] = []
        self._audio_until: int | None = None
        self._frame_ticks = 0
        self._newest: int | None = None
        self.media_ticks = 0
        """Video that has come since the first key frame, by its time stamps."""

    def feed(self, data: bytes) -> list[CutSegment]:
        """Take more bytes; the segments they completed. Raises LocalError if sync is lost."""
        data = self._rest + data if self._rest else data
        count = len(data) // PACKET_BYTES
        whole = count * PACKET_BYTES
        if data[0:whole:PACKET_BYTES].count(_SYNC) != count:
            raise LocalError("the transport stream from FFmpeg lost its sync bytes")
        self._rest = data[whole:]
        cut: list[CutSegment] = []
        for at in range(0, whole, PACKET_BYTES):
            self._packet(data, at, cut)
        return cut

    def finish(self) -> list[CutSegment]:
        """The stream has ended: the last segments, the newest as long as its frames say."""
        cut: list[CutSegment] = []
        self._close_pes(cut)
        if self._open and self._open[-1].end is None:
            video = [piece.pts for piece in self._open[-1].pieces if piece.is_video]
            self._open[-1].end = video[-1] + self._frame_ticks
        self._audio_until = None
        while self._open:
            cut.append(self._complete())
        return cut

    def _packet(self, data: bytes, at: int, cut: list[CutSegment]) -> None:
        pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
        if pid != VIDEO_PID and pid != AUDIO_PID:
            return  # tables: every segment gets its own when it is sealed
        if data[at + 1] & 0x40:
            self._close_pes(cut)
            self._pending = bytearray()
            self._pending_is_video = pid == VIDEO_PID
        if self._pending is not None:
            self._pending += data[at : at + PACKET_BYTES]
            self._held_bytes += PACKET_BYTES
            if self._held_bytes > self._segment_bytes_max:
                raise LocalError(f"a segment grew beyond {self._segment_bytes_max} bytes")

    def _close_pes(self, cut: list[CutSegment]) -> None:
        """The pending PES is whole: put it where it belongs."""
        if self._pending is None:
            return
        packets, self._pending = bytes(self._pending), None
        piece = Pes(self._pending_is_video, _pts(packets), packets)
        if piece.is_video:
            self._take_video(piece)
        else:
            self._take_audio(piece)
        while self._is_complete():
            cut.append(self._complete())

    def _take_video(self, piece: Pes) -> None:
        if _is_key_frame(piece.packets):
            if self._open:
                self._open[-1].end = piece.pts
            self._open.append(_Open(piece.pts))
        if not self._open:
            self._held_bytes = 0
            return  # before the first key frame nothing can be shown
        if self._newest is not None:
            self.media_ticks += ticks_after(piece.pts, self._newest)
        self._newest = piece.pts
        video = self._open[-1].pieces
        if video:
            last = next((p.pts for p in reversed(video) if p.is_video), piece.pts)
            self._frame_ticks = ticks_after(piece.pts, last) or self._frame_ticks
        video.append(piece)

    def _take_audio(self, piece: Pes) -> None:
        self._audio_until = piece.pts
        for segment in reversed(self._open):
            if ticks_after(piece.pts, segment.start) >= 0:
                segment.pieces.append(piece)
                return
        # Sound from before the first key frame, or far too late: its place is gone.
        self._held_bytes -= len(piece.packets)

    def _is_complete(self) -> bool:
        """The oldest segment has its end, and its sound is there or will not come."""
        if not self._open or self._open[0].end is None:
            return False
        end = self._open[0].end
        if self._audio_until is not None and ticks_after(self._audio_until, end) >= 0:
            return True
        newest = self._open[-1].pieces[-1].pts
        return ticks_after(newest, end) >= _AUDIO_LATE_TICKS_MAX

    def _complete(self) -> CutSegment:
        segment = self._open.pop(0)
        end = segment.start if segment.end is None else segment.end
        if self._open:  # sound that was written before the key frame it belongs after
            late = [p for p in segment.pieces if not p.is_video and ticks_after(p.pts, end) >= 0]
            segment.pieces = [p for p in segment.pieces if p not in late]
            self._open[0].pieces += late
        segment.pieces.sort(key=lambda p: (ticks_after(p.pts, segment.start), not p.is_video))
        self._held_bytes -= sum(len(piece.packets) for piece in segment.pieces)
        return CutSegment(
            start_ticks=segment.start,
            duration_ticks=ticks_after(end, segment.start),
            pieces=tuple(segment.pieces),
        )


def _payload_at(packet: bytes) -> int:
    return 5 + packet[4] if packet[3] & 0x20 else 4


def _pts(packets: bytes) -> int:
    """The presentation time of a PES, 90 kHz."""
    at = _payload_at(packets)
    header = packets[at:PACKET_BYTES]
    ticks = pes_ticks(header) if header[:3] == b"\x00\x00\x01" else None
    if ticks is None:
        raise LocalError("a PES packet from FFmpeg has no header or no time stamp")
    return ticks


def _is_key_frame(packets: bytes) -> bool:
    return bool(packets[3] & 0x20 and packets[4] and packets[5] & 0x40)
