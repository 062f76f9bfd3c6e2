"""What rung somebody begins with, by what was seen of the others: situation -> expected rung."""

import pytest

from surgecast.delivery.adaptation.newcomers import SeenLinks, believed, likely


@pytest.mark.parametrize(
    "usable, expected",
    [
        ([], 0),
        ([0, 0, 0, 0], 0),
        ([0, 0, 0, 1], 0),  # one slow neighbour proves nothing
        ([0, 0, 0, 2], 3),
        ([2, 0, 0, 1], 0),
        ([6, 0, 0, 2], 0),
        ([60, 0, 0, 20], 0),  # three in four can use the top
        ([60, 0, 0, 30], 3),
        ([0, 50, 30, 20], 2),
        ([0, 90, 0, 10], 1),
        ([0, 0, 0, 50], 3),
    ],
)
def test_it_is_what_three_in_four_of_them_can_use(usable: list[int], expected: int) -> None:
    assert likely(usable) == expected


@pytest.mark.parametrize(
    "here, fleet, expected",
    [
        ([0, 0, 0], [0, 0, 50], 2),  # a relay that has just begun
        ([0, 0, 9], [], 2),
        ([20, 0, 0], [20, 0, 50], 2),
        ([0, 0, 9], [3, 0, 0], 2),  # the fleet's figures are older than these
        ([0, 0, 0], [0, 0, 0, 0, 50], 2),  # somebody has a longer ladder
    ],
)
def test_the_fleet_knows_more_than_one_server(
    here: list[int], fleet: list[int], expected: int
) -> None:
    assert believed(here, fleet, 3) == expected


def test_regions_are_told_apart_and_evidence_grows_old() -> None:
    links = SeenLinks(3)
    for number in range(9):
        links.note(0.0, "east", f"slow-{number}", 2)
        links.note(20.0, "west", f"fast-{number}", 0)
    assert links.usable(20.0) == {"east": [0, 0, 9], "west": [9, 0, 0]}
    assert links.believed(20.0, "east", ()) == 2 and links.believed(20.0, "west", ()) == 0
    assert links.usable(31.0) == {"west": [9, 0, 0]}
    assert links.believed(31.0, "east", ()) == 0


def test_a_viewer_counts_once_with_what_was_seen_last() -> None:
    links = SeenLinks(3)
    for at_s in range(50):
        links.note(float(at_s), "east", "a", 2 - at_s % 2)
    assert links.usable(50.0) == {"east": [0, 1, 0]}


def test_of_many_viewers_and_regions_the_newest_are_remembered() -> None:
    links = SeenLinks(3)
    for number in range(1000):
        links.note(0.0, "east", f"{number}", 2 if number < 800 else 0)
        links.note(0.0, f"region-{number}", "a", 0)
    usable = links.usable(0.0)
    assert usable["east"] == [128, 0, 0] and len(usable) == 256
