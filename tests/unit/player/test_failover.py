"""Situations and the decision each calls for: the table of `player.failover`, read as a player."""

import pytest

from player.failover import (
    IDLE_S_MIN,
    PAUSE_S_MAX,
    TABLE,
    Action,
    Failure,
    Possible,
    Wanted,
    decide,
    failure_of,
    idle_s,
)

ALONE, TWO = Possible(), Possible(next_pathway=True)
SENT = Possible(rejoin=True, rejoin_elsewhere=True)
HOME = Possible(rejoin=True)
LADDER = Possible(step_down=True)


@pytest.mark.parametrize(
    ("wanted", "failure", "possible", "expected"),
    [
        (Wanted.ENTRY, Failure.GONE, TWO, "end"),
        (Wanted.ENTRY, Failure.CONNECTION, ALONE, "again again again end"),
        (Wanted.REJOIN, Failure.GONE, ALONE, "again again again"),
        (Wanted.PLAYLIST, Failure.CONNECTION, TWO, "other other"),
        (Wanted.PLAYLIST, Failure.CONNECTION, ALONE, "again again again again"),
        (Wanted.PLAYLIST, Failure.CONNECTION, SENT, "again elsewhere again"),
        (Wanted.PLAYLIST, Failure.SILENT, SENT, "elsewhere again again open"),
        (Wanted.PLAYLIST, Failure.GONE, HOME, "again again again open again"),
        (Wanted.PLAYLIST, Failure.LATER, TWO, "again other"),
        (Wanted.PLAYLIST, Failure.REFUSED, TWO, "again"),
        (Wanted.PLAYLIST, Failure.REFUSED, HOME, "open again"),
        (Wanted.MEDIA, Failure.GONE, ALONE, "skip"),
        (Wanted.MEDIA, Failure.GONE, TWO, "other"),
        (Wanted.MEDIA, Failure.SERVER, ALONE, "again again skip"),
        (Wanted.MEDIA, Failure.SILENT, LADDER, "lower again skip"),
        (Wanted.MEDIA, Failure.SILENT, TWO, "other"),
        (Wanted.MEDIA, Failure.BROKEN, TWO, "again other"),
        (Wanted.STEERING, Failure.SERVER, TWO, "skip"),
    ],
)
def test_what_is_done(wanted: Wanted, failure: Failure, possible: Possible, expected: str) -> None:
    words = {
        Action.RETRY: "again",
        Action.NEXT_PATHWAY: "other",
        Action.STEP_DOWN: "lower",
        Action.SKIP: "skip",
        Action.REJOIN: "open",
        Action.REJOIN_ELSEWHERE: "elsewhere",
        Action.GIVE_UP: "end",
    }
    tries = range(1, len(expected.split()) + 1)
    found = [words[decide(wanted, failure, n, possible).action] for n in tries]
    assert " ".join(found) == expected


@pytest.mark.parametrize(("wanted", "failure"), TABLE)
@pytest.mark.parametrize("possible", [ALONE, TWO, SENT, LADDER])
def test_nothing_is_decided_that_is_not_possible_and_pauses_are_bounded(
    wanted: Wanted, failure: Failure, possible: Possible
) -> None:
    for tries in range(1, 40):
        verdict = decide(wanted, failure, tries, possible)
        assert verdict.pause_s <= PAUSE_S_MAX
        assert (verdict.pause_s > 0) == (verdict.action is Action.RETRY)
        assert possible.next_pathway or verdict.action is not Action.NEXT_PATHWAY
        assert possible.step_down or verdict.action is not Action.STEP_DOWN
    assert verdict.action in (Action.RETRY, Action.SKIP, Action.GIVE_UP), "in the end"


def test_pauses_double() -> None:
    pauses = [decide(Wanted.REJOIN, Failure.SERVER, n, ALONE).pause_s for n in range(1, 6)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (0, "connection", Failure.CONNECTION),
        (0, "time-out", Failure.SILENT),
        (0, "truncated", Failure.BROKEN),
        (200, "bad playlist", Failure.WRONG),
        (403, "", Failure.REFUSED),
        (404, "", Failure.GONE),
        (410, "", Failure.GONE),
        (429, "", Failure.LATER),
        (503, "", Failure.LATER),
        (500, "", Failure.SERVER),
        (304, "", Failure.GONE),
    ],
)
def test_what_an_answer_is(status: int, error: str, failure: Failure) -> None:
    assert failure_of(status, error) is failure


def test_a_silent_server_costs_a_part_of_the_buffer_only_where_there_is_another() -> None:
    assert idle_s(6.0, 8.0, elsewhere=False) == 8.0
    assert idle_s(6.0, 8.0, elsewhere=True) == 2.0
    assert idle_s(0.0, 8.0, elsewhere=True) == IDLE_S_MIN
    assert idle_s(60.0, 8.0, elsewhere=True) == 8.0


def test_an_heir_may_wait_for_its_first_segment() -> None:
    """It lists only what nobody has seen; held requests answered within 1.5 targets are normal."""
    assert idle_s(4.0, 8.0, elsewhere=True, heir_s=3.0) == 3.0
    assert idle_s(4.0, 8.0, elsewhere=False, heir_s=3.0) == 8.0
