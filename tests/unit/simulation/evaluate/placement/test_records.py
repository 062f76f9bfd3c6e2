"""Raw records survive the end of the process that wrote them."""

from pathlib import Path

from simulation.evaluate.placement.records import Records, row_of, sample_of
from tests.support.placement_bench import sample


def test_a_sample_comes_back_as_it_was() -> None:
    one = sample(0.5, ["144p", "480p"], 0.97)
    assert sample_of(row_of(one)) == one


def test_a_line_that_was_cut_off_is_left_out_and_the_next_one_counts(tmp_path: Path) -> None:
    records = Records(tmp_path / "x.jsonl")
    records.add({"n": 1})
    with records.path.open("a") as file:
        file.write('{"n": 2, "cut')
    records.add({"n": 3})
    assert [row["n"] for row in records] == [1, 3]


def test_a_file_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert list(Records(tmp_path / "none.jsonl")) == []
