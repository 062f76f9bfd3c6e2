"""Whom a relay asks: the best that has not failed lately, and somebody always."""

import pytest

from edge_relay.upstreams import Upstreams, pause_s


def test_the_first_is_asked_until_it_fails_and_again_when_its_penalty_is_over():
    upstreams = Upstreams(("a", "b", "c"), 5.0, 60.0)
    assert upstreams.best(0.0) == "a"
    upstreams.penalise("a", 0.0, "down")
    assert upstreams.best(0.0) == "b" and upstreams.in_penalty("a", 4.9)
    assert upstreams.best(5.0) == "a"


def test_penalties_double_up_to_a_bound_and_end_with_a_success():
    upstreams = Upstreams(("a", "b"), 5.0, 12.0)
    for now, until in ((0.0, 5.0), (5.0, 15.0), (15.0, 27.0), (27.0, 39.0)):
        upstreams.penalise("a", now, "down")
        assert upstreams.best(until - 0.1) == "b" and upstreams.best(until) == "a"
    upstreams.forgive("a")
    upstreams.penalise("a", 100.0, "down")
    assert upstreams.best(105.0) == "a"


def test_where_all_failed_the_one_that_is_free_first_is_asked():
    upstreams = Upstreams(("a", "b"), 5.0, 60.0)
    upstreams.penalise("a", 1.0, "down")
    upstreams.penalise("b", 0.0, "down")
    assert upstreams.best(1.0) == "b"
    assert upstreams.warnings(1.0) == ["upstream a: down", "upstream b: down"]
    assert upstreams.warnings(100.0) == []


def test_those_tried_already_come_last_and_nobody_is_nobody():
    upstreams = Upstreams(("a", "b"), 5.0, 60.0)
    assert upstreams.best(0.0, ["a"]) == "b" and upstreams.best(0.0, ["a", "b"]) == "a"
    assert Upstreams((), 5.0, 60.0).best(0.0) is None


def test_another_list_keeps_the_penalties_of_those_that_stay():
    upstreams = Upstreams(("a", "b"), 5.0, 60.0)
    upstreams.penalise("b", 0.0, "down")
    upstreams.use(("b", "c"))
    assert upstreams.bases == ("b", "c") and upstreams.best(0.0) == "c"


@pytest.mark.parametrize(
    ("attempt", "chance", "expected"),
    [(1, 0.0, 0.05), (1, 1.0, 0.1), (2, 1.0, 0.2), (9, 1.0, 2.0), (9, 0.0, 1.0)],
)
def test_pauses_double_up_to_a_bound_and_differ_by_chance(attempt, chance, expected):
    assert pause_s(attempt, 0.1, 2.0, chance) == pytest.approx(expected)


def test_one_that_is_asked_in_its_penalty_for_want_of_another_is_not_punished_twice():
    """Else a relay that starts before its origin would avoid it for a minute."""
    upstreams = Upstreams(("a", "b"), 5.0, 60.0)
    for tenth in range(40):
        upstreams.penalise("a", tenth / 10, f"down at {tenth}")
    assert upstreams.warnings(4.9) == ["upstream a: down at 39"]
    assert upstreams.best(5.0) == "a"
