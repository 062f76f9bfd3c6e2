"""Everybody's picture at the same moment: the server's clock, and how fast to play. Pure.

The controller is the one that held two hls.js viewers within a frame of each other: a fifth of the
error as a change of speed, clamped, with a dead band. It goes by the wall clock of the server and
`EXT-X-PROGRAM-DATE-TIME`, not by the live edge, which every viewer learns of at another time.
"""

from player.buffer import RATE_MAX, RATE_MIN

GAIN_PER_S = 0.2
DEAD_BAND_S = 0.02
JUMP_S = 2.0
"""Further behind than this the picture jumps: at 1.1 it would take more than 20 s."""
DATE_STEP_S = 1.0
"""A `Date` header is cut to whole seconds (RFC 9110 section 5.6.7)."""
DRIFT_S_MAX = 0.05
"""Two clocks may drift apart by so much before what was learned of them is given up."""


def sync_rate(latency_s: float, target_s: float) -> float:
    """Media seconds to play in a second, to be `target_s` behind the clock."""
    late_s = latency_s - target_s
    if abs(late_s) <= DEAD_BAND_S:
        return 1.0
    return min(RATE_MAX, max(RATE_MIN, 1.0 + GAIN_PER_S * late_s))


def sync_jump_s(latency_s: float, target_s: float, buffered_s: float) -> float:
    """How much to leave out; 0 where the pace alone will do, or nothing newer is there yet."""
    late_s = latency_s - target_s
    return late_s if JUMP_S < late_s < buffered_s else 0.0


class ServerClock:
    """The server's wall clock, from `Date` headers.

    Each answer says that the server's clock stood in one second at some moment between request
    and answer; all of them together leave a narrow range. The clock of this machine is believed
    as long as it is in that range, so that viewers on one machine agree to the millisecond.
    """

    def __init__(self) -> None:
        self._low = -float("inf")
        self._high = float("inf")
        self._guess = 0.0

    def guess(self, offset_s: float) -> None:
        """This machine's wall clock less its monotonic one."""
        self._guess = offset_s

    def saw(self, date_utc: float, asked_at: float, came_at: float) -> None:
        """An answer of `date_utc` to a request of `asked_at` (monotonic seconds)."""
        low, high = date_utc - came_at, date_utc + DATE_STEP_S - asked_at
        self._low, self._high = max(self._low, low), min(self._high, high)
        if self._low > self._high + DRIFT_S_MAX:
            self._low, self._high = low, high  # Another server, or a clock that was set.

    @property
    def offset_s(self) -> float:
        """Server's wall clock less this machine's monotonic one."""
        if self._low <= self._guess <= self._high:
            return self._guess
        return (self._low + self._high) / 2

    def utc(self, now: float) -> float:
        return now + self.offset_s
