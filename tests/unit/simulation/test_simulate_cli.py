"""`surgecast simulate`: a small crowd through the whole command, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from surgecast.cli import main
from tests.support.studies import SMALL
from tests.unit.simulation.test_replay import row, written


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


def simulate(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["simulate", *map(str, words)])
    out, errors = capsys.readouterr()
    return status, out, errors


def saved(capsys: pytest.CaptureFixture[str], path: Path, *words: object) -> dict[str, Any]:
    status, _, errors = simulate(capsys, *words, "--json", path)
    assert status == 0, errors
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_policies_side_by_side_on_the_same_seeds(
    capsys: pytest.CaptureFixture[str], scenario: str, tmp_path: Path
) -> None:
    words = (scenario, "--policy", "hpa,predictive", "--seeds", 2)
    status, out, _ = simulate(capsys, *words, "--json", tmp_path / "a.json")
    assert status == 0
    for told in ("stall-minutes", "relay-hours", "VMAF", "never short", "predictive against hpa"):
        assert told in out
    first = json.loads((tmp_path / "a.json").read_text())
    runs = [(run["policy"], run["seed"]) for run in first["runs"]]
    assert runs == [("hpa", 1), ("predictive", 1), ("hpa", 2), ("predictive", 2)]
    assert first == saved(capsys, tmp_path / "b.json", *words), "the same seeds gave another run"


def test_two_runs_are_subtracted_and_drawn(
    capsys: pytest.CaptureFixture[str], scenario: str, tmp_path: Path
) -> None:
    saved(capsys, tmp_path / "before.json", scenario, "--policy", "predictive")
    changed = ("--set", "relays.start_s=[15]", "--set", "manager.policy.relays_max=3")
    words = (scenario, "--policy", "predictive", *changed, "--against", tmp_path / "before.json")
    drawn = ("--plots", tmp_path / "drawn", "--html", tmp_path / "page.html")
    status, out, errors = simulate(capsys, *words, *drawn)
    assert status == 0, errors
    assert "this minus before (seed by seed)" in out
    for name in ("policies.png", "difference.png"):
        assert (tmp_path / "drawn" / name).read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2 and "stall-minutes" in page
    assert "src=" not in page and "<link" not in page, "the page needs something else"


def test_a_recorded_evening_is_played_again(
    capsys: pytest.CaptureFixture[str], scenario: str, tmp_path: Path
) -> None:
    counts = [5, 40, 80, 60, 10]
    url = written(tmp_path, [row(10 * n, count) for n, count in enumerate(counts)])
    words = (scenario, "--history", url, "--policy", "reactive")
    found = saved(capsys, tmp_path / "a.json", *words)
    course = found["courses"]["reactive"]
    viewers = dict(zip(course["at_s"], course["bands"]["viewers.east"]["middle"], strict=True))
    for n, count in enumerate(counts[:-1]):
        assert viewers[10.0 * n] == pytest.approx(count, abs=6)
    assert found["name"].startswith("recorded from 2027-01-15")


def test_a_trace_is_played_at_another_size_and_speed(
    capsys: pytest.CaptureFixture[str], scenario: str, tmp_path: Path
) -> None:
    trace = tmp_path / "audience.csv"
    rows = [f"{name},{10 * n},{100 * n}" for name in ("a", "b") for n in range(9)]
    trace.write_text("\n".join(["stream,t_s,viewers", *rows]))
    words = (scenario, "--trace", f"{trace},series=b,scale=0.1,speed=2", "--policy", "reactive")
    found = saved(capsys, tmp_path / "a.json", *words)
    course = found["courses"]["reactive"]
    assert course["at_s"][-1] == 39
    assert course["bands"]["viewers"]["middle"][-1] == pytest.approx(78, abs=3)
    status, _, errors = simulate(capsys, scenario, "--trace", trace)
    assert status == 1 and "several series: name one with series=: a, b" in errors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("{}", "--trace", "none.csv"), "none.csv: cannot be read"),
        (("{}", "--trace", "none.csv,scale=0"), "scale: expected a number above 0, found '0'"),
        (("{}", "--trace", "none.csv,size=3"), "expected series=, scale=, speed=; found size"),
        (("{}", "--trace", "x.csv", "--history", "sqlite:///x.db"), "one of them at a time"),
        ((), "expected a scenario: a YAML file, or one of cold_start,"),
        (("nowhere.yaml",), "nowhere.yaml: no such file; scenarios that come with surgecast:"),
        (("{}", "--set", "relays=3"), "relays:"),
        (("{}", "--set", "relays"), "--set: expected key=value, found 'relays'"),
        (("{}", "--set", "crowds.1.region=b"), "crowds.1.region: expected a number from 0 to 0"),
        (("{}", "--set", "name.x=b"), "x is inside of a single value"),
        (("{}", "--set", "relays.start_s=["), "'[' is not valid YAML"),
        (("{}", "--set", "crowds.0.region=b"), "crowds name region b; there are: default"),
        (("{}", "--against", "none.json"), "none.json: cannot be read"),
        (("{}", "--from", "2026-11-21T20:00:00Z"), "--from and --to are for --history and --trace"),
        (("{}", "--history", "sqlite:///none.db"), "none.db: there is no such file"),
        (("{}", "--set", "manager.policy.setpoint=7"), "setpoint"),
    ],
)
def test_what_cannot_be_run_says_why(
    capsys: pytest.CaptureFixture[str], scenario: str, words: tuple[str, ...], told: str
) -> None:
    status, _, errors = simulate(capsys, *(word.replace("{}", scenario) for word in words))
    assert status == 1
    assert errors.startswith("surgecast simulate: ") and told in errors


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--policy", "psychic"), "expected some of reactive, hpa, predictive, setpoint, oracle"),
        (("--seeds", "0"), "expected 1 to 10000, found '0'"),
        (("--from", "yesterday"), "expected a time with its zone"),
        (("--to", "2026-11-21T20:00:00"), "expected a time with its zone"),
    ],
)
def test_mistakes_in_the_call(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", "flash_crowd", *words])
    assert told in capsys.readouterr().err


def test_pictures_without_matplotlib_are_refused_before_anything_is_run(
    capsys: pytest.CaptureFixture[str],
    scenario: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, errors = simulate(capsys, scenario, "--html", tmp_path / "page.html")
    assert status == 1 and "surgecast with the extra `plots`" in errors
    assert not out
