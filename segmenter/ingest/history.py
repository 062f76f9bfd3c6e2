"""The last seconds of a fed source, so that another encoder can go on where one has left (pure).

An encoder that makes room for another leaves with a whole segment, while the source is a little
further. Its successor needs a key frame to begin with, at or before that place, and what came
since; and it must skip what its predecessor has shown already. Two kinds of stream, one rule.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from segmenter.bounds import HISTORY_BYTES_MAX
from segmenter.ts import PACKET_BYTES, TICKS_PER_S, TICKS_WRAP, VIDEO_STREAM_IDS, pes_ticks

HISTORY_S = 6.0
"""An encoder that is further behind than this goes on at the oldest key frame kept."""


_REJOIN_S = 2.0
"""How much more than it needs a new consumer is given, so that it begins with a key frame."""


@dataclass(slots=True)
class _Gop:
    """From one key frame to the next."""

    at_s: float
    pieces: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


class History:
    """What was handed on lately, from key frame to key frame. Times are the stream's own."""

    def __init__(self, ticks_per_s: int, ticks_wrap: int) -> None:
        self._ticks_per_s = ticks_per_s
        self._wrap = ticks_wrap
        self._gops: deque[_Gop] = deque()
        self._last_ticks: int | None = None
        self._now_s = 0.0
        self._began_s: float | None = None

    @property
    def size_bytes(self) -> int:
        return sum(gop.size_bytes for gop in self._gops)

    def note(self, data: bytes, key_ticks: int | None = None) -> None:
        """`data` was handed on; with `key_ticks` it starts with a key frame of that time."""
        if key_ticks is not None:
            self._advance(key_ticks)
            self._gops.append(_Gop(self._now_s))
            if self._began_s is None:
                self._began_s = self._now_s
        if not self._gops:
            return
        self._gops[-1].pieces.append(data)
        self._gops[-1].size_bytes += len(data)
        while len(self._gops) > 1 and self._gops[1].at_s <= self._now_s - HISTORY_S:
            self._gops.popleft()
        while self._gops and self.size_bytes > HISTORY_BYTES_MAX:
            self._gops.popleft()

    def restart(self) -> None:
        """The consumer begins anew, with the next key frame."""
        self._gops.clear()
        self._began_s = None

    def rewind(self, played_s: float) -> tuple[bytes, float] | None:
        """What to hand on again to a consumer that goes on `played_s` after the last one began,
        and how much of it to skip. None where nothing is kept: then it begins anew."""
        if self._began_s is None or not self._gops:
            self.restart()
            return None
        wanted_s = self._began_s + played_s
        known = [gop for gop in self._gops if gop.at_s <= wanted_s]
        # No key frame that early is kept: some is lost. Time stamps that jumped say nothing.
        first = known[-1] if known and wanted_s <= self._now_s + HISTORY_S else self._gops[0]
        again = list(self._gops)[list(self._gops).index(first) :]
        skip_s = max(0.0, wanted_s - first.at_s) if first in known else 0.0
        self._began_s = first.at_s + skip_s
        return b"".join(piece for gop in again for piece in gop.pieces), skip_s

    def rejoin(self, back_s: float) -> bytes | None:
        """What to hand on to a consumer that begins afresh, `back_s` ago or a little earlier.

        The newest whole run of pictures that is long enough; what is far longer is not worth the
        delay. None where nothing is kept: then it begins with the next key frame.
        """
        if not self._gops:
            self.restart()
            return None
        newest_s = self._gops[-1].at_s
        old = [gop for gop in self._gops if back_s <= newest_s - gop.at_s <= back_s + _REJOIN_S]
        first = list(self._gops).index(old[-1] if old else self._gops[-1])
        again = list(self._gops)[first:]
        self._began_s = again[0].at_s
        return b"".join(piece for gop in again for piece in gop.pieces)

    def _advance(self, ticks: int) -> None:
        if self._last_ticks is not None:
            half = self._wrap // 2
            passed = (ticks - self._last_ticks + half) % self._wrap - half
            self._now_s += passed / self._ticks_per_s
            if passed < 0:  # a source that begins anew: what was kept is of another time
                self._gops.clear()
                self._began_s = None
        self._last_ticks = ticks


class TsHistory:
    """`History` of a transport stream as it comes from a socket, cut anywhere.

    Without random-access indicators, or where packets are not 188 bytes, nothing is kept.
    """

    def __init__(self) -> None:
        self._history = History(TICKS_PER_S, TICKS_WRAP)
        self._rest = b""
        self._pat = b""
        self._pmt = b""
        self._unknown = False

    @property
    def size_bytes(self) -> int:
        return self._history.size_bytes

    def note(self, data: bytes) -> None:
        if self._unknown:
            return
        data = self._rest + data if self._rest else data
        whole = len(data) // PACKET_BYTES * PACKET_BYTES
        self._rest = data[whole:]
        rows = np.frombuffer(data[:whole], dtype=np.uint8).reshape(-1, PACKET_BYTES)
        if not (rows[:, 0] == 0x47).all():
            self._unknown = True
            self._history.restart()
            return
        self._note_tables(rows)
        at, key = 0, None
        for index, ticks in _key_frames(rows):
            self._note_rows(data[at : index * PACKET_BYTES], key)
            at, key = index * PACKET_BYTES, ticks
        self._note_rows(data[at:whole], key)

    def restart(self) -> None:
        self._history.restart()

    def rewind(self, played_s: float) -> tuple[bytes, float] | None:
        """As `History.rewind`, with the tables a decoder needs first and the packet begun last."""
        found = self._history.rewind(played_s)
        if found is None or not self._pat or not self._pmt:
            return None
        return self._pat + self._pmt + found[0] + self._rest, found[1]

    def rejoin(self, back_s: float) -> bytes | None:
        """As `History.rejoin`, with the tables first and the packet begun last."""
        found = self._history.rejoin(back_s)
        if found is None or not self._pat or not self._pmt:
            return None
        return self._pat + self._pmt + found + self._rest

    def _note_rows(self, data: bytes, key: int | None) -> None:
        if data:
            self._history.note(data, key)

    def _note_tables(self, rows: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> None:
        """The newest PAT, and the newest PMT of its first program."""
        starts = (rows[:, 1] & 0x40) != 0
        pids = (rows[:, 1].astype(np.int64) & 0x1F) << 8 | rows[:, 2]
        for index in np.flatnonzero(starts & (pids == 0))[-1:]:
            self._pat = rows[index].tobytes()
        if not self._pat:
            return
        first = self._pat[4 + 1 + self._pat[4] + 8 :]  # past the pointer and the section's head
        pmt_pid = (first[2] & 0x1F) << 8 | first[3] if len(first) >= 4 else 0
        for index in np.flatnonzero(starts & (pids == pmt_pid))[-1:]:
            self._pmt = rows[index].tobytes()


def _key_frames(
    rows: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]",
) -> list[tuple[int, int]]:
    """Row and time stamp of each picture that starts with a random-access indicator."""
    marked = (rows[:, 1] & 0x40 > 0) & (rows[:, 3] & 0x20 > 0) & (rows[:, 4] > 0)
    marked &= rows[:, 5] & 0x40 > 0
    found = []
    for index in np.flatnonzero(marked):
        packet = rows[index].tobytes()
        header = packet[5 + packet[4] :]
        video = len(header) > 3 and header[:3] == b"\x00\x00\x01"
        ticks = pes_ticks(header) if video and header[3] in VIDEO_STREAM_IDS else None
        if ticks is not None:
            found.append((int(index), ticks))
    return found
