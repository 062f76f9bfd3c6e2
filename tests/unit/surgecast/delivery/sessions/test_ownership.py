"""Who answers for a session, as a table: one author at a time, and everybody finds it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours
from surgecast.delivery.sessions.ownership import (
    Answer,
    Claim,
    Decision,
    Health,
    NotMine,
    PassOn,
    Redirect,
    Seek,
    Situation,
    decide,
    yields_to,
)
from surgecast.delivery.sessions.tokens import Claims


def server(name: str, takes: bool = True) -> Neighbour:
    return Neighbour(name, f"http://{name}", "north", name == "a", takes)


def fleet(own: str, *, drains: str = "") -> Neighbours:
    """Three servers as one of them sees them."""
    servers = {name: server(name, name not in drains) for name in "abc"}
    itself = servers.pop(own)
    return Neighbours(itself, tuple(servers.values()))


def asked(owner: str = "a", **facts: object) -> Situation:
    claims = Claims("v1", "demo", "north", owner, 0.0)
    plain = Situation(claims, known=False, sure=False, new=False)
    return replace(plain, **facts)  # type: ignore[arg-type]


HEIR = fleet("a").owner_of("v1", "a", without=["a"])
OTHER = "b" if HEIR == "c" else "c"


@pytest.mark.parametrize(
    ("situation", "known", "dead", "expected"),
    [
        (asked("b", known=True, sure=True), fleet("a"), "", Answer()),
        (asked("a", known=True, sure=True), fleet("a", drains="a"), "", Answer()),
        (asked("a", new=True), fleet("a"), "", Answer()),
        (asked("a"), fleet("b"), "", PassOn("a")),
        (asked("a", passed_by="c"), fleet("b"), "", NotMine("a")),
        # The owner does not know it any more, and it may have been shown something.
        (asked("a"), fleet("a"), "", Seek()),
        (asked("a", sought=True), fleet("a"), "", Answer(taken=True)),
        (asked("a"), Neighbours(server("a")), "", Answer(taken=True)),
        (asked("a", moved_to="b"), fleet("a"), "", PassOn("b")),
        (asked("a", moved_to="b", passed_by="c"), fleet("a"), "", NotMine("b")),
        (asked("a", moved_to="b", sought=True), fleet("a"), "b", Answer(taken=True)),
        (asked("a", moved_to="gone"), fleet("b"), "", PassOn("a")),
        # It stood still, or was started again: somebody else may have it.
        (asked("a", known=True), fleet("a"), "", Seek()),
        (asked("a", known=True, sought=True), fleet("a"), "", Answer()),
        (asked("a", known=True), Neighbours(server("a")), "", Answer()),
        # The owner is dead.
        (asked("a"), fleet(HEIR), "a", Seek()),
        (asked("a", sought=True), fleet(HEIR), "a", Answer(taken=True)),
        (asked("a"), fleet(OTHER), "a", PassOn(HEIR)),
        (asked("a"), fleet(OTHER), ["a", HEIR], Seek()),
        # The owner drains: it lives, and has the histories.
        (asked("a"), fleet(HEIR, drains="a"), "", Claim("a")),
        (asked("a", asked=True), fleet(HEIR, drains="a"), "", Seek()),
        (asked("a"), fleet(OTHER, drains="a"), "", PassOn(HEIR)),
        (asked("a"), fleet("a", drains="a"), "", Redirect(HEIR)),
        (asked("a", moved_to=OTHER), fleet("a", drains="a"), "", Redirect(OTHER)),
        (asked("a", new=True), fleet("a", drains="a"), "", Redirect(HEIR)),
        (asked("a", passed_by="b"), fleet("a", drains="a"), "", NotMine(HEIR)),
        # Nobody takes sessions: whoever is asked goes on as long as it can.
        (asked("a", new=True), fleet("a", drains="abc"), "", Answer()),
        (asked("a", sought=True), Neighbours(server("a", takes=False)), "", Answer(taken=True)),
        (asked("never heard of", sought=True), Neighbours(server("a")), "", Answer(taken=True)),
    ],
)
def test_the_table(
    situation: Situation, known: Neighbours, dead: list[str], expected: Decision
) -> None:
    assert decide(situation, known, list(dead)) == expected


@given(st.sampled_from("abc"), st.lists(st.sampled_from("abc"), max_size=2), st.text(max_size=4))
def test_two_servers_that_agree_on_who_is_dead_agree_on_the_heir(
    owner: str, dead: list[str], session: str
) -> None:
    """So that a request that was passed on is never passed back."""
    named = []
    for own in set("abc") - set(dead):
        situation = asked(owner, sought=True)
        situation = replace(situation, claims=replace(situation.claims, session=session))
        decision = decide(situation, fleet(own), dead)
        named.append(own if isinstance(decision, Answer) else decision.server)  # type: ignore[union-attr]
    assert len(set(named)) == 1


@given(st.text(), st.text(), st.text())
def test_one_of_two_that_are_about_to_take_over_yields(session: str, one: str, two: str) -> None:
    if one != two:
        assert yields_to(session, one, two) != yields_to(session, two, one)


def test_the_dead_are_looked_at_again() -> None:
    health = Health(again_s=2.0)
    health.died("a", 10.0)
    health.died("b", 11.0)
    assert set(health.dead) == {"a", "b"}
    assert health.due(11.9) == [] and health.due(12.0) == ["a"]
    health.died("a", 12.0)
    assert health.due(13.5) == ["b"]
    health.lives("b")
    assert "b" not in health and "a" in health
    health.keep(["b"])
    assert not health.dead
