"""What a player does about a request that failed: one table, for every player here. Pure.

A row is what was wanted and how it failed; its steps are tried in order, each as often as it says,
and a step that is not possible (no other pathway, no lower rung) is passed over. What comes after
the last step is `SKIP` for media and `RETRY` for the rest, until the viewer gives up on the whole.
The order is that of hls.js (`error-controller.ts`): where another server can be asked, it is asked
before the buffer runs dry, and the one that failed is left alone for a while.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PAUSE_S = 0.25
"""Before the first retry; it doubles with each."""
PAUSE_S_MAX = 2.0
RETRY_AFTER_S_MAX = 30.0
"""A server may ask for no longer pause than that."""
IDLE_S_MIN = 1.0
"""An answer may be silent for so long, however little is buffered."""
IDLE_SHARE = 1 / 3
"""Of the buffer that one silent server may cost where another can be asked."""


class Wanted(StrEnum):
    """What a request is for."""

    ENTRY = "entry"
    """What a viewer opens: a multivariant playlist, or a redirect to one."""
    REJOIN = "entry again"
    PLAYLIST = "playlist"
    MEDIA = "media"
    STEERING = "steering"


class Failure(StrEnum):
    """How a request can fail."""

    CONNECTION = "no connection"
    SILENT = "no answer in time"
    BROKEN = "cut off"
    WRONG = "not what it should be"
    GONE = "not there"
    REFUSED = "refused"
    LATER = "asked to come back"
    SERVER = "server error"


class Action(StrEnum):
    """What to do next."""

    RETRY = "ask again"
    NEXT_PATHWAY = "ask another server"
    STEP_DOWN = "take a lower rung"
    SKIP = "do without"
    REJOIN = "open the stream again"
    REJOIN_ELSEWHERE = "open the stream again, as whoever was asked first is another server"
    GIVE_UP = "end"


@dataclass(frozen=True, slots=True)
class Step:
    action: Action
    times: int = 1


@dataclass(frozen=True, slots=True)
class Possible:
    """What the situation allows."""

    next_pathway: bool = False
    step_down: bool = False
    rejoin: bool = False
    rejoin_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    action: Action
    pause_s: float = 0.0
    """Before it."""


_NEXT = Step(Action.NEXT_PATHWAY, 8)
_REJOIN = Step(Action.REJOIN)
_ELSEWHERE = Step(Action.REJOIN_ELSEWHERE)


def _retry(times: int) -> Step:
    return Step(Action.RETRY, times)


TABLE: Mapping[tuple[Wanted, Failure], tuple[Step, ...]] = {
    (Wanted.ENTRY, Failure.CONNECTION): (_retry(3),),
    (Wanted.ENTRY, Failure.SILENT): (_retry(1),),
    (Wanted.ENTRY, Failure.BROKEN): (_retry(1),),
    (Wanted.ENTRY, Failure.LATER): (_retry(5),),
    (Wanted.ENTRY, Failure.SERVER): (_retry(3),),
    (Wanted.PLAYLIST, Failure.CONNECTION): (_NEXT, _retry(1), _ELSEWHERE, _retry(6), _REJOIN),
    (Wanted.PLAYLIST, Failure.SILENT): (_NEXT, _ELSEWHERE, _retry(2), _REJOIN),
    (Wanted.PLAYLIST, Failure.BROKEN): (_retry(1), _NEXT),
    (Wanted.PLAYLIST, Failure.WRONG): (_retry(1), _NEXT),
    (Wanted.PLAYLIST, Failure.GONE): (_NEXT, _retry(3), _REJOIN),
    (Wanted.PLAYLIST, Failure.REFUSED): (_REJOIN,),
    (Wanted.PLAYLIST, Failure.LATER): (_retry(1), _NEXT),
    (Wanted.PLAYLIST, Failure.SERVER): (_retry(1), _NEXT),
    (Wanted.MEDIA, Failure.CONNECTION): (_NEXT, _retry(2)),
    (Wanted.MEDIA, Failure.SILENT): (_NEXT, Step(Action.STEP_DOWN), _retry(1)),
    (Wanted.MEDIA, Failure.BROKEN): (_retry(1), _NEXT),
    (Wanted.MEDIA, Failure.WRONG): (_NEXT,),
    (Wanted.MEDIA, Failure.GONE): (_NEXT,),
    (Wanted.MEDIA, Failure.REFUSED): (_NEXT,),
    (Wanted.MEDIA, Failure.LATER): (_retry(1), _NEXT, _retry(1)),
    (Wanted.MEDIA, Failure.SERVER): (_retry(1), _NEXT, _retry(1)),
}
_AFTER = {
    Wanted.ENTRY: Action.GIVE_UP,
    Wanted.REJOIN: Action.RETRY,
    Wanted.PLAYLIST: Action.RETRY,
    Wanted.MEDIA: Action.SKIP,
    Wanted.STEERING: Action.SKIP,
}


def failure_of(status: int, error: str) -> Failure:
    """What an answer of `status` is, or where there was none (0), what `error` says of it."""
    if status in (401, 403):
        return Failure.REFUSED
    if status in (408, 425, 429, 503):
        return Failure.LATER
    if status >= 500:
        return Failure.SERVER
    if status >= 300:
        return Failure.GONE
    return {
        "time-out": Failure.SILENT,
        "truncated": Failure.BROKEN,
        "broken connection": Failure.BROKEN,
        "connection": Failure.CONNECTION,
    }.get(error, Failure.WRONG)


def decide(wanted: Wanted, failure: Failure, tries: int, possible: Possible) -> Verdict:
    """What to do after the `tries`-th failure in a row of the same thing (from 1)."""
    open_to = {
        Action.NEXT_PATHWAY: possible.next_pathway,
        Action.STEP_DOWN: possible.step_down,
        Action.REJOIN: possible.rejoin,
        Action.REJOIN_ELSEWHERE: possible.rejoin_elsewhere,
    }
    left = tries
    for step in TABLE.get((wanted, failure), ()):
        if not open_to.get(step.action, True):
            continue
        if left <= step.times:
            return _verdict(step.action, left)
        left -= step.times
    return _verdict(_AFTER[wanted], left)


def _verdict(action: Action, number: int) -> Verdict:
    if action is not Action.RETRY:
        return Verdict(action)
    return Verdict(action, min(PAUSE_S_MAX, PAUSE_S * 2 ** min(number - 1, 8)))


def idle_s(buffered_s: float, total_s: float, elsewhere: bool, heir_s: float = 0.0) -> float:
    """How long an answer may be silent: less than the buffer where another server can be asked.

    A server that was not asked before may first have to take the session over, and then waits
    until it has something nobody has seen, for up to `heir_s`: that is no silence.
    """
    if not elsewhere:
        return total_s
    return min(total_s, max(IDLE_S_MIN, buffered_s * IDLE_SHARE, heir_s))
