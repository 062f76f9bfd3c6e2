"""The life of a relay: what leads where, and what leads nowhere."""

import itertools

import pytest

from edge_relay.lifecycle import MOVES, STATES, Life, Occupancy
from edge_relay.settings import LifeSettings
from surgecast.control.messages import Drain

SETTINGS = LifeSettings(warm_timeout_s=60, quiet_s=6)
BUSY = Occupancy(sessions=3, quiet_s=0.0)
EMPTY = Occupancy(sessions=0, quiet_s=6.0)
STEPS = {
    "listening": lambda life: life.listening(),
    "warm": lambda life: life.warm(),
    "drain": lambda life: life.drain(Drain(deadline_s=30, to=["b"]), 0.0, "told to"),
    "stop": lambda life: life.stop("told to"),
    "late": lambda life: life.look(BUSY, 61.0, "no upstream"),
    "empty": lambda life: life.look(EMPTY, 1.0),
}


def life_in(state: str) -> Life:
    ways = {
        "starting": (),
        "warming": ("listening",),
        "serving": ("listening", "warm"),
        "draining": ("listening", "warm", "drain"),
        "stopped": ("stop",),
        "failed": ("late",),
    }
    life = Life(SETTINGS, 0.0)
    for step in ways[state]:
        STEPS[step](life)
    assert life.state == state
    return life


@pytest.mark.parametrize(
    ("state", "step", "expected"),
    [
        ("starting", "listening", "warming"),
        ("starting", "warm", "starting"),
        ("starting", "drain", "draining"),
        ("starting", "stop", "stopped"),
        ("starting", "late", "failed"),
        ("starting", "empty", "starting"),
        ("warming", "listening", "warming"),
        ("warming", "warm", "serving"),
        ("warming", "drain", "draining"),
        ("warming", "stop", "stopped"),
        ("warming", "late", "failed"),
        ("warming", "empty", "warming"),
        ("serving", "warm", "serving"),
        ("serving", "drain", "draining"),
        ("serving", "stop", "stopped"),
        ("serving", "late", "serving"),
        ("serving", "empty", "serving"),
        ("draining", "warm", "draining"),
        ("draining", "drain", "draining"),
        ("draining", "stop", "stopped"),
        ("draining", "late", "stopped"),
        ("draining", "empty", "stopped"),
    ],
)
def test_the_table(state, step, expected):
    life = life_in(state)
    STEPS[step](life)
    assert life.state == expected


@pytest.mark.parametrize("steps", list(itertools.permutations(STEPS, 4)))
def test_a_life_never_goes_back_and_ends_for_good(steps):
    life = Life(SETTINGS, 0.0)
    for step in steps:
        before = life.state
        STEPS[step](life)
        assert life.state == before or life.state in MOVES[before]
        assert STATES.index(life.state) >= STATES.index(before)


def test_what_it_waited_for_is_the_reason_of_its_failure():
    life = life_in("failed")
    assert life.reason == "not warm after 60 s: no upstream"
    assert life.reported == "draining"


def test_it_stays_while_sessions_or_readers_are_there():
    life = life_in("draining")
    life.look(Occupancy(sessions=1, quiet_s=100.0), 29.0)
    life.look(Occupancy(sessions=0, quiet_s=5.9), 29.0)
    assert life.state == "draining"
    life.look(EMPTY, 29.0)
    assert (life.state, life.reason) == ("stopped", "drained")


def test_out_of_time_it_says_whom_it_left():
    life = life_in("draining")
    life.look(BUSY, 30.0)
    assert (life.state, life.reason) == ("stopped", "out of time with 3 sessions left")


def test_told_again_it_takes_other_heirs_and_an_earlier_deadline_only():
    life = life_in("draining")
    life.drain(Drain(deadline_s=30, to=["c"]), 20.0, "again")
    assert (life.heirs, life.drain_until) == (("c",), 30.0)
    life.drain(Drain(deadline_s=1), 20.0, "again")
    assert (life.heirs, life.drain_until) == (("c",), 21.0)
