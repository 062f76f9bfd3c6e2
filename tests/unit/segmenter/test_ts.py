"""Sealing: tables first, times moved, counters that let any segment follow any other (R9, R14)."""

import pytest

from segmenter import ts
from segmenter.cutter import TsCutter
from surgecast.errors import LocalError
from tests.support import ts_maker


def packets_of(segment: bytes) -> list[bytes]:
    return [segment[at : at + 188] for at in range(0, len(segment), 188)]


def pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def payload(packet: bytes) -> bytes:
    at = 5 + packet[4] if packet[3] & 0x20 else 4
    return packet[at:]


def media(packets: list[bytes], wanted: int) -> bytes:
    """All payload bytes of a PID, with the time stamps blanked."""
    data = b""
    for packet in packets:
        if pid(packet) == wanted:
            body = payload(packet)
            if packet[1] & 0x40:
                body = body[:9] + b"....." + body[14:]
            data += body
    return data


def cut(**options: object) -> list:
    return TsCutter().feed(ts_maker.stream(**options))  # type: ignore[arg-type]


def test_pat_and_pmt_come_first_and_count_with_the_msn() -> None:
    for msn in (0, 7, 16):
        first, second, *_ = packets_of(ts.seal(cut()[0].packets, 0, msn))
        assert (pid(first), pid(second)) == (0, ts.PMT_PID)
        assert first[3] & 0x0F == second[3] & 0x0F == msn % 16


def test_tables_have_the_checksum_decoders_verify() -> None:
    for packet in packets_of(ts.tables(3)):
        length = (packet[6] & 0x0F) << 8 | packet[7]
        section = packet[5 : 8 + length]
        assert ts._crc32(section) == 0, "a section with its own CRC gives 0 (ISO/IEC 13818-1)"


def test_each_pid_starts_at_counter_0_and_ends_at_15() -> None:
    for segment in cut(segments=4, frames=7):
        packets = packets_of(ts.seal(segment.packets, 5, 1))
        for wanted in (ts.VIDEO_PID, ts.AUDIO_PID):
            counters = [p[3] & 0x0F for p in packets if pid(p) == wanted and p[3] & 0x10]
            assert counters == [n % 16 for n in range(len(counters))]
            assert counters[-1] == 15


def test_splitting_packets_keeps_every_byte_of_media() -> None:
    for segment in cut(segments=3, frames=9):
        before = packets_of(segment.packets)
        after = packets_of(ts.seal(segment.packets, 1234, 0))
        for wanted in (ts.VIDEO_PID, ts.AUDIO_PID):
            assert media(after, wanted) == media(before, wanted)


def test_times_are_moved_and_wrap_at_33_bits() -> None:
    segment = cut(start=20_000)[0]
    shift = ts.TICKS_WRAP - 21_000
    cutter = TsCutter()
    cutter.feed(ts.seal(segment.packets, shift, 0))
    (sealed,) = cutter.finish()
    assert sealed.start_ticks == ts.TICKS_WRAP - 1000
    assert sealed.duration_ticks == segment.duration_ticks


def test_the_clock_reference_runs_ahead_of_the_picture() -> None:
    segment = cut(start=500_000)[0]
    for packet in packets_of(ts.seal(segment.packets, 1000, 0)):
        if packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10:
            base = int.from_bytes(packet[6:11], "big") >> 7
            body = payload(packet)
            b = body[9:14]
            pts = (b[0] & 14) << 29 | b[1] << 22 | (b[2] & 254) << 14 | b[3] << 7 | b[4] >> 1
            assert pts - base == ts.PCR_LEAD_TICKS


def test_sealing_is_a_function_of_its_arguments() -> None:
    segment = cut()[0]
    assert ts.seal(segment.packets, 9, 4) == ts.seal(bytes(segment.packets), 9, 4)


@pytest.mark.parametrize("packets", [b"", b"\x47" * 187, b"\x48" + b"\x00" * 187])
def test_what_is_not_whole_packets_is_refused(packets: bytes) -> None:
    with pytest.raises(LocalError):
        ts.seal(packets, 0, 0)


def test_a_pid_with_too_few_packets_says_so() -> None:
    tiny = ts_maker.pes(ts.VIDEO_PID, 0, b"")
    with pytest.raises(LocalError, match="too few packets"):
        ts.seal(tiny, 0, 0)


def test_the_codec_name_is_read_from_the_parameter_set() -> None:
    assert ts.h264_codec(cut()[0].packets) == "avc1.4d401f"
    with pytest.raises(LocalError, match="parameter set"):
        ts.h264_codec(b"\x00\x00\x01\x65nothing")


def test_distance_on_the_wrapping_clock_is_signed() -> None:
    assert ts.ticks_after(5, ts.TICKS_WRAP - 5) == 10
    assert ts.ticks_after(ts.TICKS_WRAP - 5, 5) == -10


def test_set_pts_moves_one_pes_and_nothing_else() -> None:
    before = ts_maker.pes(ts.AUDIO_PID, 77, b"x" * 300)
    after = ts.set_pts(before, 5_000_000_000)
    assert after == ts_maker.pes(ts.AUDIO_PID, 5_000_000_000, b"x" * 300)
    with pytest.raises(LocalError):
        ts.set_pts(b"\x47\x01\x01\x10" + b"\x00" * 184, 1)


@pytest.mark.parametrize("length", [100, 171, 180, 255])
def test_a_header_beyond_its_packet_is_refused(length: int) -> None:
    """The adaptation field says that the PES begins where it has no room."""
    packets = bytearray(ts_maker.pes(0x100, 3600, b"x" * 150, key=True, pcr=3600))
    start = 5 + length
    packets[4] = length
    packets[start : start + 9] = b"\0\0\1\xe0\0\0\x80\x80\5"
    packets = packets[:188]
    if length == 100:
        assert ts.set_pts(bytes(packets), 7) != packets
        return
    with pytest.raises(LocalError, match="PES header"):
        ts.seal(bytes(packets), 0, 0)
    with pytest.raises(LocalError, match="PES packet"):
        ts.set_pts(bytes(packets), 7)
    with pytest.raises(LocalError, match="PES packet"):
        TsCutter().feed(bytes(packets) * 2)


def test_a_header_that_says_it_fills_its_packet_is_not_split() -> None:
    """255 bytes of header: more than a byte can count with what stands before them."""
    packets = bytearray(ts_maker.pes(0x100, 3600, b"x" * 170))
    packets[12] = 255
    with pytest.raises(LocalError, match="too few packets"):
        ts.seal(bytes(packets) * 8, 0, 0)
