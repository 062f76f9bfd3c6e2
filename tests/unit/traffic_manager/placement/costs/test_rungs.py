"""What can be taken from a task, and in which order."""

from tests.support.placements import signature
from traffic_manager.placement.costs.rungs import faster_presets, least_value, reduced, sheds


def test_presets_come_in_order_and_end_with_the_fastest() -> None:
    assert faster_presets("fast") == ("faster", "veryfast", "superfast", "ultrafast")
    assert faster_presets("ultrafast") == () == faster_presets("p4")


def test_the_lowest_rung_stays() -> None:
    assert sheds(signature(), (), None) == [("720p",), ("720p", "480p")]
    assert least_value(signature(), ("720p", "480p"), None) is None


def test_a_rung_that_is_watched_stays_longer() -> None:
    assert least_value(signature(), (), {"720p": 500, "480p": 1}) == "480p"


def test_reduced_keeps_what_is_not_named() -> None:
    less = reduced(signature("fast"), shed=("720p",))
    assert (less.preset, [rung.rung for rung in less.rungs]) == ("fast", ["480p", "240p"])
    assert reduced(signature("fast"), "superfast").preset == "superfast"
