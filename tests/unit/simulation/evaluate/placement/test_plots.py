"""Every comparison has its picture, and every study of what is new one more."""

import pytest

from simulation.evaluate.placement import figures, plots
from simulation.evaluate.placement.records import row_of
from tests.support.placement_bench import SETTINGS, TRUTH, measured

pytest.importorskip("matplotlib")


def test_pictures_are_drawn_of_all_that_is_there() -> None:
    samples = [row_of(one) for one in measured(3)]
    row = {"kind": "block", "where": "real", "goal": "speed", "policy": "R4", "seed": 1}
    row |= {"from_s": 0.0, "until_s": 60.0, "task_s": 90.0, "admitted": 3, "refused": 1}
    row |= {"samples": samples}
    rows = [row | {"study": study} for study in ("main", "cold_start")]
    drawn = plots.pictures(figures.comparisons(rows, SETTINGS), TRUTH, measured(3))
    assert set(drawn) == {
        "real-main-speed",
        "real-cold_start-speed",
        "real-cold_start-speed-early",
        "response",
    }
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
