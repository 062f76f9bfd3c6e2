"""A run can be stopped at any time and goes on where it was."""

from pathlib import Path

from simulation.evaluate.placement.blocks import Block, schedule
from simulation.evaluate.placement.records import Records
from simulation.evaluate.placement.runs import Runs
from simulation.evaluate.placement.traces import fleet
from tests.support.placement_bench import SETTINGS, known

WORKERS = fleet(SETTINGS.workers)
BLOCKS = schedule("main", "speed", ["R0", "R2"], [1], 480.0, 240.0)


def run(path: Path, blocks: list[Block]) -> list[str]:
    told: list[str] = []
    Runs(known(), WORKERS, Records(path), 480.0, "fleet").simulated(blocks, told.append)
    return told


def test_what_is_on_record_is_not_run_again(tmp_path: Path) -> None:
    assert len(run(tmp_path / "a.jsonl", BLOCKS)) == 4
    assert run(tmp_path / "a.jsonl", BLOCKS) == []


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    run(tmp_path / "whole.jsonl", BLOCKS)
    for block in BLOCKS:
        run(tmp_path / "parts.jsonl", [block])
    assert list(Records(tmp_path / "parts.jsonl")) == list(Records(tmp_path / "whole.jsonl"))


def test_what_ran_at_the_end_of_a_block_runs_at_the_beginning_of_the_next(tmp_path: Path) -> None:
    run(tmp_path / "a.jsonl", BLOCKS)
    first, second = (row for row in Records(tmp_path / "a.jsonl") if row["policy"] == "R0")
    assert first["carried"]
    still = sum(one["at_s"] + one["duration_s"] > 240.0 for one in first["carried"])
    assert still == len(first["carried"])
    assert second["task_s"] > 0.5 * first["task_s"]
