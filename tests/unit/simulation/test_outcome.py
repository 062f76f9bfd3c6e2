"""What is kept of runs: totals, who was in time, and curves that lose nothing short."""

import json
from pathlib import Path

import numpy as np
import pytest

from simulation.result import Result
from simulation.studies import outcome_file
from simulation.studies.difference import gap, subtracted
from simulation.studies.outcome import MOMENTS_MAX, thinned
from surgecast.errors import ConfigError, LocalError
from tests.support.studies import outcome, result


@pytest.mark.parametrize(
    ("given", "in_time", "never_short"),
    [
        ({}, True, True),
        ({"serving_at": 10}, True, True),
        ({"overload_at": 10}, False, False),
        ({"overload_at": 10, "serving_at": 10}, True, True),
        ({"overload_at": 10, "serving_at": 11}, False, False),
        ({"overload_at": 10, "serving_at": 5, "wanted_bps": 2e8}, True, False),
    ],
)
def test_relays_are_in_time_when_they_serve_before_more_is_wanted_than_is_there(
    given: dict[str, float], in_time: bool, never_short: bool
) -> None:
    found = outcome(result(**given))
    assert found.in_time("hpa") == (in_time, 1)
    assert found.never_short("hpa") == (never_short, 1)


def test_a_long_run_is_thinned_and_its_sums_stay() -> None:
    steps = 10 * MOMENTS_MAX + 7
    stalled = np.zeros(steps)
    stalled[-3] = 5000.0
    long = Result("x", "hpa", 1, result().totals, np.arange(steps * 1.0), {"stalled": stalled})
    at_s, series = thinned(long)
    assert len(at_s) == len(series["stalled"]) <= MOMENTS_MAX
    assert series["stalled"].max() > 0, "a moment of stalling was lost"


def test_bands_are_medians_and_ranges_over_seeds() -> None:
    found = outcome(*(result("hpa", seed, stalled=10.0 * seed) for seed in (1, 2, 9)))
    band = found.courses["hpa"].bands["stalled"]
    assert (band.least[-1], band.middle[-1], band.most[-1]) == (10, 20, 90)


def test_spread_and_readiness_over_seeds() -> None:
    runs = [result("hpa", 1, stall_minutes=4.0), result("hpa", 2, stall_minutes=1.0)]
    late = result("hpa", 3, stall_minutes=2.0, overload_at=3)
    found = outcome(*runs, late)
    assert found.spread("hpa", "stall_minutes") == (2.0, 1.0, 4.0)
    assert found.in_time("hpa") == (2, 3)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    written = outcome(result("hpa", 1, overload_at=3), result("oracle", 1, serving_at=2))
    path = tmp_path / "run.json"
    outcome_file.write(path, written)
    read = outcome_file.read(path)
    assert outcome_file.as_dict(read) == outcome_file.as_dict(written)
    assert (read.runs, read.policies) == (written.runs, ["hpa", "oracle"])


def test_nobodys_quality_survives_the_file(tmp_path: Path) -> None:
    found = result()
    found.series["vmaf"][:5] = np.nan  # type: ignore[index]
    outcome_file.write(tmp_path / "run.json", outcome(found))
    assert "NaN" not in (tmp_path / "run.json").read_text()
    band = outcome_file.read(tmp_path / "run.json").courses["hpa"].bands["vmaf"]
    assert np.isnan(band.middle[:5]).all() and band.middle[5] == 90


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "expected JSON"),
        ("[]", "not written by"),
        ('{"surgecast_simulation": 99}', "version 99; this program reads 1"),
        ('{"surgecast_simulation": 1, "runs": [{}]}', "damaged"),
        ('{"surgecast_simulation": 1, "runs": [], "courses": {}}', "damaged"),
    ],
)
def test_files_that_cannot_be_used_say_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        outcome_file.read(path)


def test_a_file_that_is_not_there_and_one_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        outcome_file.read(tmp_path / "none.json")
    with pytest.raises(LocalError, match="cannot be written"):
        outcome_file.write(tmp_path / "no" / "folder.json", outcome(result()))


def test_differences_are_taken_seed_by_seed() -> None:
    here = outcome(*(result("hpa", s, stall_minutes=10.0 * s + 1) for s in (1, 2, 3)))
    there = outcome(*(result("hpa", s, stall_minutes=10.0 * s) for s in (1, 2, 3)))
    (pair,) = subtracted(here, there)
    change = pair.changes["stall_minutes"]
    assert pair.paired
    assert (change.middle, change.least, change.most) == (1, 1, 1)


def test_other_seeds_are_compared_by_their_medians() -> None:
    here = outcome(*(result("hpa", s, stall_minutes=5.0) for s in (1, 2)))
    there = outcome(*(result("hpa", s, stall_minutes=1.0 * s) for s in (3, 4)))
    (pair,) = subtracted(here, there)
    change = pair.changes["stall_minutes"]
    assert not pair.paired
    assert (change.middle, change.least, change.most) == (1.5, 1, 2)


def test_two_single_policies_are_compared_and_strangers_are_not() -> None:
    (pair,) = subtracted(outcome(result("oracle")), outcome(result("hpa")))
    assert pair.name == "oracle - hpa"
    with pytest.raises(ConfigError, match="no policy in common: here oracle, there hpa, reactive"):
        subtracted(outcome(result("oracle")), outcome(result("hpa"), result("reactive")))


def test_the_gap_over_time_is_that_of_the_medians() -> None:
    here, there = outcome(result(stalled=30.0)), outcome(result(stalled=10.0))
    (pair,) = subtracted(here, there)
    _, values = gap(here, there, pair, "stalled")
    assert values[-1] == 20 and values[0] == 0


def test_json_says_medians_for_other_programs() -> None:
    told = json.loads(json.dumps(outcome_file.as_dict(outcome(result(stall_minutes=2.5)))))
    assert told["summary"]["hpa"]["stall_minutes"]["median"] == 2.5
    assert told["summary"]["hpa"]["in_time"] == {"seeds": 1, "of": 1}
