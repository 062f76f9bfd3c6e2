"""What happens in the demo, and when. Pure.

    calm ─► the crowd comes ─► it stays ─► it leaves ─► calm again

Told at full length the story takes two minutes; a shorter demo tells it faster.
"""

from dataclasses import dataclass

FULL_S = 120.0
HOME, COAST = "home", "coast"
"""The regions: the origin is at home; nobody serves the coast until the crowd is there."""
_SHARES = {"calm": 0.10, "rise": 0.16, "hold": 0.32, "fall": 0.08}


@dataclass(frozen=True, slots=True)
class Story:
    """Lengths of the parts, seconds from the moment the channel is ready; and how many come."""

    calm_s: float
    rise_s: float
    hold_s: float
    fall_s: float
    length_s: float
    home_viewers: int = 6
    coast_before: int = 1
    coast_peak: int = 40

    def part(self, elapsed_s: float) -> str:
        """What is happening at that moment, for people."""
        ends = (
            (self.calm_s, "calm"),
            (self.rise_s, "a crowd comes in region coast"),
            (self.hold_s, "the crowd stays"),
            (self.fall_s, "the crowd leaves"),
        )
        until_s = 0.0
        for length_s, name in ends:
            until_s += length_s
            if elapsed_s < until_s:
                return name
        return "calm again; what was started is drained"


def story(seconds: float | None) -> Story:
    """The story for a demo of that length; None is one that runs until it is stopped."""
    length_s = FULL_S if seconds is None else min(seconds, FULL_S)
    parts = {name: share * length_s for name, share in _SHARES.items()}
    return Story(parts["calm"], parts["rise"], parts["hold"], parts["fall"], length_s)


def arrivals(told: Story) -> tuple[str, str]:
    """The curves of `surgecast swarm --arrivals`: one region calm, one with the crowd."""
    flash = {
        "from": told.coast_before,
        "to": told.coast_peak,
        "after": round(told.calm_s, 1),
        "over": round(told.rise_s, 1),
        "hold": round(told.hold_s, 1),
        "away": round(told.fall_s, 1),
    }
    words = ",".join(f"{name}={value}" for name, value in flash.items())
    # Who comes at once is a crowd too: at home they come one by one.
    home = f"ramp:from=1,to={told.home_viewers},over={round(told.calm_s * 0.8, 1)},region={HOME}"
    return home, f"flash:{words},region={COAST}"
