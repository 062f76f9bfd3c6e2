"""How fast a low-latency viewer plays: faster when behind, slower when too close. Pure.

The distance from the live edge is what the buffer holds, what is listed and not yet there, and the
time since the server last said something. It is kept at the hold-back, and a part further away
after each stall: what stalled once would stall again there.
"""

RATE_MIN = 0.95
RATE_MAX = 1.05
"""Sound at these speeds is not noticed."""
GAIN_PER_S = 0.5
"""Change of speed for each second off the wanted distance."""
DEAD_BAND_PARTS = 0.5
"""Off by less than this the speed is 1: the distance itself goes up and down by a part."""
STALL_PARTS_MAX = 10
"""Parts that stalls may add to the hold-back in all."""
JUMP_S = 2.0
"""Further away than this beyond the wanted distance, the picture jumps: catching up at 5 % would
take most of a minute."""


def wanted_distance_s(hold_back_s: float, part_target_s: float, stalls: int) -> float:
    """Where to be, seconds from the live edge."""
    return hold_back_s + min(stalls, STALL_PARTS_MAX) * part_target_s


def rate(distance_s: float, wanted_s: float, part_target_s: float) -> float:
    """Media seconds to play in a second."""
    off_s = distance_s - wanted_s
    if abs(off_s) <= DEAD_BAND_PARTS * part_target_s:
        return 1.0
    return min(RATE_MAX, max(RATE_MIN, 1.0 + GAIN_PER_S * off_s))


def jump_s(distance_s: float, wanted_s: float) -> float:
    """How much media to leave out to be where one should be; 0 where the pace alone will do."""
    off_s = distance_s - wanted_s
    return off_s if off_s > JUMP_S else 0.0
