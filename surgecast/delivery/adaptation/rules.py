"""Which rung a session may have: the YAML rules now, and the place of the governor later.

Pure: measured load and media sequence numbers in, a rung cap out. Going down is immediate, going
up waits until the load has allowed it for some segments, so that a cap does not swing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from surgecast.delivery.settings import AdaptationSettings, Condition


@dataclass(frozen=True, slots=True)
class Load:
    """What the rules look at."""

    egress_bps: float
    viewers: int


@dataclass(frozen=True, slots=True)
class CapState:
    """The cap in force as a position in the ladder (0 is the top), and since when it could rise."""

    position: int = 0
    calm_since_msn: int | None = None


def decide(
    settings: AdaptationSettings, rungs: Sequence[str], state: CapState, load: Load, msn: int
) -> CapState:
    """The cap for segment `msn`. `rungs` is the ladder, best first; unknown names are no cap."""
    wanted = _wanted(settings, rungs, load)
    if wanted >= state.position:
        return CapState(position=wanted)
    if state.calm_since_msn is None:
        return replace(state, calm_since_msn=msn)
    if msn - state.calm_since_msn < settings.up_after_segments:
        return state
    return CapState(position=wanted)


def _wanted(settings: AdaptationSettings, rungs: Sequence[str], load: Load) -> int:
    for rule in settings.rules:
        if rule.rung_cap in rungs and _holds(rule.when, load):
            return rungs.index(rule.rung_cap)
    return 0


def _holds(when: Condition, load: Load) -> bool:
    if when.egress_above_bps is not None and load.egress_bps <= when.egress_above_bps:
        return False
    return when.viewers_above is None or load.viewers > when.viewers_above
