"""MPEG-TS as rows of 188 bytes: tables, time stamps and continuity counters of finished segments.

Everything works on what our own FFmpeg writes: one H.264 stream, one AAC stream, whole PES
packets one after another. The rules are ISO/IEC 13818-1; what players need beyond it is R9 and
R14 of the HLS rules: segments of any rung must be able to follow one another.
"""

import numpy as np
from numpy.typing import NDArray

from surgecast.errors import LocalError

Rows = NDArray[np.uint8]

PACKET_BYTES = 188
PMT_PID = 0x1000
VIDEO_PID = 0x100
AUDIO_PID = 0x101
TICKS_PER_S = 90_000
TICKS_WRAP = 1 << 33
AAC_FRAME_TICKS = 1920
"""1024 samples at 48 kHz, exactly."""
PCR_LEAD_TICKS = 9_000
"""How far the clock reference runs ahead of decoding (0.1 s), as in any multiplexed stream."""

VIDEO_STREAM_IDS = range(0xE0, 0xF0)

_CC_CYCLE = 16
_PES_HEADER_BYTES = 9
_STAMP_BYTES = 5


def ticks_after(ticks: int, since: int) -> int:
    """Signed distance `ticks - since` on the 33-bit clock, in [-2^32, 2^32)."""
    return (ticks - since + TICKS_WRAP // 2) % TICKS_WRAP - TICKS_WRAP // 2


def seal(packets: bytes, shift_ticks: int, msn: int) -> bytes:
    """A finished segment: tables first, times moved by `shift_ticks`, counters from 0.

    `packets` are the video and audio packets of the segment, PES after PES. The result depends on
    nothing but the arguments. Raises LocalError for packets that are not whole.
    """
    if not packets or len(packets) % PACKET_BYTES:
        raise LocalError(f"{len(packets)} bytes are not whole transport packets")
    rows = np.frombuffer(bytearray(packets), dtype=np.uint8).reshape(-1, PACKET_BYTES)
    if not (rows[:, 0] == 0x47).all():
        raise LocalError("a transport packet does not start with its sync byte")
    _shift_pes(rows, shift_ticks)
    _shift_pcr(rows, shift_ticks - PCR_LEAD_TICKS)
    rows = _round_counters(rows)
    return tables(msn % _CC_CYCLE) + rows.tobytes()


def check_cut(packets: bytes, start_ticks: int, duration_ticks: int, frames: int) -> None:
    """Raises LocalError for packets that are no cut segment: from a key frame at `start_ticks` on,
    as many frames as it has, each in one PES, and only the sound of that time.

    For what another machine cut; what it passes, `seal` takes.
    """
    if not packets or len(packets) % PACKET_BYTES:
        raise LocalError(f"{len(packets)} bytes are not whole transport packets")
    rows = np.frombuffer(packets, dtype=np.uint8).reshape(-1, PACKET_BYTES)
    pids, payloads = _pids(rows), _payload_offsets(rows)
    if not ((rows[:, 0] == 0x47) & ((pids == VIDEO_PID) | (pids == AUDIO_PID))).all():
        raise LocalError(f"packets other than of PID {VIDEO_PID:#x} and {AUDIO_PID:#x}")
    if (payloads > PACKET_BYTES).any():
        raise LocalError("an adaptation field reaches beyond its packet")
    if pids[0] != VIDEO_PID or not (rows[0, 1] & 0x40 and rows[0, 3] & 0x20 and rows[0, 4]):
        raise LocalError("it does not start with a picture")
    if not rows[0, 5] & 0x40:
        raise LocalError("its first picture is no key frame (random access indicator)")
    starts = np.flatnonzero((rows[:, 1] & 0x40) != 0)
    header = payloads[starts]
    if (header + _PES_HEADER_BYTES + _STAMP_BYTES > PACKET_BYTES).any():
        raise LocalError("a PES header reaches beyond its transport packet")
    if not (rows[starts, header + 7] & 0x80).all():
        raise LocalError("a PES has no time stamp")
    b = [rows[starts, header + 9 + k].astype(np.int64) for k in range(_STAMP_BYTES)]
    ticks = (b[0] & 0x0E) << 29 | b[1] << 22 | (b[2] & 0xFE) << 14 | b[3] << 7 | b[4] >> 1
    after = (ticks - start_ticks + TICKS_WRAP // 2) % TICKS_WRAP - TICKS_WRAP // 2
    video = pids[starts] == VIDEO_PID
    pictures = after[video]
    if len(pictures) != frames or pictures[0] != 0:
        raise LocalError(
            f"{len(pictures)} pictures from {int(pictures[0]):+d} ticks: expected {frames} from 0"
        )
    if (np.diff(pictures) <= 0).any() or pictures[-1] >= duration_ticks:
        raise LocalError("its pictures are not in order, or reach beyond its end")
    sound = after[~video]
    if ((sound < -TICKS_PER_S) | (sound > duration_ticks + TICKS_PER_S)).any():
        raise LocalError("its sound is not of its time")


def set_pts(packets: bytes, ticks: int) -> bytes:
    """The same PES (its first packet starts it) with another presentation time."""
    at = 5 + packets[4] if packets[3] & 0x20 else 4
    whole = at + _PES_HEADER_BYTES + _STAMP_BYTES <= PACKET_BYTES
    if not whole or packets[at : at + 3] != b"\x00\x00\x01" or not packets[at + 7] & 0x80:
        raise LocalError("a PES packet has no header or no time stamp")
    stamp = bytes(
        [
            packets[at + 9] & 0xF1 | ticks >> 29 & 0x0E,
            ticks >> 22 & 0xFF,
            ticks >> 14 & 0xFE | 1,
            ticks >> 7 & 0xFF,
            ticks << 1 & 0xFE | 1,
        ]
    )
    return packets[: at + 9] + stamp + packets[at + 14 :]


def pes_ticks(header: bytes) -> int | None:
    """The presentation time in a PES header; None where it has none, or is not whole."""
    if len(header) < _PES_HEADER_BYTES + _STAMP_BYTES or not header[7] & 0x80:
        return None
    b = header[9:14]
    return (b[0] & 0x0E) << 29 | b[1] << 22 | (b[2] & 0xFE) << 14 | b[3] << 7 | b[4] >> 1


def _pids(rows: Rows) -> NDArray[np.int64]:
    return ((rows[:, 1].astype(np.int64) & 0x1F) << 8) | rows[:, 2]


def _payload_offsets(rows: Rows) -> NDArray[np.int64]:
    adapted = (rows[:, 3] & 0x20) != 0
    return np.where(adapted, 5 + rows[:, 4].astype(np.int64), 4)


def _shift_pes(rows: Rows, shift: int) -> None:
    """Move PTS, and DTS where there is one, of every PES header."""
    starts = np.flatnonzero((rows[:, 1] & 0x40) != 0)
    header = _payload_offsets(rows)[starts]
    if (header + _PES_HEADER_BYTES > PACKET_BYTES).any():
        raise LocalError("a PES header reaches beyond its transport packet")
    flags = rows[starts, header + 7]
    has_pts = (flags & 0x80) != 0
    has_dts = (flags & 0xC0) == 0xC0
    _shift_stamps(rows, starts[has_pts], header[has_pts] + 9, shift)
    _shift_stamps(rows, starts[has_dts], header[has_dts] + 14, shift)


def _shift_stamps(
    rows: Rows, where: NDArray[np.int64], column: NDArray[np.int64], shift: int
) -> None:
    if (column + _STAMP_BYTES > PACKET_BYTES).any():
        raise LocalError("a PES header reaches beyond its transport packet")
    b = [rows[where, column + k].astype(np.int64) for k in range(_STAMP_BYTES)]
    ticks = (b[0] & 0x0E) << 29 | b[1] << 22 | (b[2] & 0xFE) << 14 | b[3] << 7 | b[4] >> 1
    ticks = (ticks + shift) % TICKS_WRAP
    rows[where, column] = (b[0] & 0xF1) | (ticks >> 29 & 0x0E)
    rows[where, column + 1] = ticks >> 22 & 0xFF
    rows[where, column + 2] = (ticks >> 14 & 0xFE) | 1
    rows[where, column + 3] = ticks >> 7 & 0xFF
    rows[where, column + 4] = (ticks << 1 & 0xFE) | 1


def _shift_pcr(rows: Rows, shift: int) -> None:
    """Move every program clock reference (33-bit base; the 9-bit extension stays)."""
    where = np.flatnonzero(((rows[:, 3] & 0x20) != 0) & (rows[:, 4] >= 7) & (rows[:, 5] & 0x10 > 0))
    b = [rows[where, 6 + k].astype(np.int64) for k in range(5)]
    base = b[0] << 25 | b[1] << 17 | b[2] << 9 | b[3] << 1 | b[4] >> 7
    base = (base + shift) % TICKS_WRAP
    for k, right in enumerate((25, 17, 9, 1)):
        rows[where, 6 + k] = base >> right & 0xFF
    rows[where, 10] = (base << 7 & 0x80) | (b[4] & 0x7F)


def _round_counters(rows: Rows) -> Rows:
    """Counters from 0 in each PID, with a multiple of 16 payload packets (rule R14).

    The missing packets are made by splitting payloads in two, so no byte of media is added.
    """
    for pid in (VIDEO_PID, AUDIO_PID):
        rows = _split_some(rows, pid)
    pids = _pids(rows)
    for pid in (VIDEO_PID, AUDIO_PID):
        mine = np.flatnonzero(pids == pid)
        has_payload = (rows[mine, 3] & 0x10) != 0
        # A packet without payload repeats the counter of the one before it.
        counters = (np.cumsum(has_payload) - 1) % _CC_CYCLE
        rows[mine, 3] = (rows[mine, 3] & 0xF0) | counters.astype(np.uint8)
    return rows


def _split_some(rows: Rows, pid: int) -> Rows:
    mine = (_pids(rows) == pid) & ((rows[:, 3] & 0x10) != 0)
    missing = -int(mine.sum()) % _CC_CYCLE
    if not missing:
        return rows
    spare = PACKET_BYTES - _payload_offsets(rows) - _least_first_payload(rows)
    # Long payloads first, and none that starts a PES while others will do.
    order = np.lexsort((-spare, rows[:, 1] & 0x40))
    chosen = [int(index) for index in order if mine[index] and spare[index] >= 1][:missing]
    if len(chosen) < missing:
        raise LocalError(f"PID {pid:#x} has too few packets to round its counter: {mine.sum()}")
    pieces: list[Rows] = []
    last = 0
    for index in sorted(chosen):
        pieces += [rows[last:index], _split(rows[index])]
        last = index + 1
    return np.concatenate([*pieces, rows[last:]])


def _least_first_payload(rows: Rows) -> NDArray[np.int64]:
    """Bytes the first half must keep: the whole PES header where one starts, else one."""
    least = np.ones(len(rows), dtype=np.int64)
    starts = np.flatnonzero((rows[:, 1] & 0x40) != 0)
    length_at = np.minimum(_payload_offsets(rows)[starts] + 8, PACKET_BYTES - 1)
    least[starts] = _PES_HEADER_BYTES + rows[starts, length_at].astype(np.int64)
    return least


def _split(row: Rows) -> Rows:
    """One packet as two that carry the same payload; the first keeps start flag and PCR."""
    packet = row.tobytes()
    offset = 5 + packet[4] if packet[3] & 0x20 else 4
    payload = packet[offset:]
    least = _PES_HEADER_BYTES + payload[8] if packet[1] & 0x40 else 1
    cut = max(least, len(payload) // 2)
    field = packet[5:offset] or b"\x00"
    first = _with_stuffing(packet[1], packet[2], packet[3], field, payload[:cut])
    second = _with_stuffing(packet[1] & 0xBF, packet[2], packet[3], b"\x00", payload[cut:])
    return np.frombuffer(first + second, dtype=np.uint8).reshape(2, PACKET_BYTES)


def _with_stuffing(byte1: int, byte2: int, byte3: int, field: bytes, payload: bytes) -> bytes:
    """A packet with an adaptation field (flags and what follows) filled up to 188 bytes."""
    length = PACKET_BYTES - 5 - len(payload)
    field = (field + b"\xff" * length)[:length]
    return bytes([0x47, byte1, byte2, byte3 | 0x30, length]) + field + payload


def tables(counter: int) -> bytes:
    """PAT and PMT, one packet each, with continuity counter `counter` (0..15)."""
    pat = bytes([0x00, 0x01, 0xC1, 0x00, 0x00]) + _entry(1, PMT_PID)
    streams = b"".join(
        bytes([stream_type]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\x00"
        for stream_type, pid in ((0x1B, VIDEO_PID), (0x0F, AUDIO_PID))
    )
    pmt = (
        bytes([0x00, 0x01, 0xC1, 0x00, 0x00])
        + (0xE000 | VIDEO_PID).to_bytes(2, "big")
        + b"\xf0\x00"
        + streams
    )
    return _table_packet(0, 0x00, pat, counter) + _table_packet(PMT_PID, 0x02, pmt, counter)


def _entry(program: int, pid: int) -> bytes:
    return program.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big")


def _table_packet(pid: int, table_id: int, body: bytes, counter: int) -> bytes:
    section = bytes([table_id]) + (0xB000 | (len(body) + 4)).to_bytes(2, "big") + body
    section += _crc32(section).to_bytes(4, "big")
    head = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | counter, 0x00])
    return (head + section).ljust(PACKET_BYTES, b"\xff")


def _crc32(data: bytes) -> int:
    """CRC-32/MPEG-2: polynomial 0x04C11DB7, not reflected (ISO/IEC 13818-1 annex A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def h264_codec(segment: bytes) -> str:
    """The RFC 6381 name of the first H.264 stream, read from its SPS: `avc1.4d401f`.

    Raises LocalError where no SPS is found.
    """
    at = -1
    while (at := segment.find(b"\x00\x00\x01", at + 1)) >= 0 and at + 7 <= len(segment):
        if segment[at + 3] & 0x1F == 7:
            return f"avc1.{segment[at + 4 : at + 7].hex()}"
    raise LocalError("no H.264 sequence parameter set in the segment")
