"""`surgecast evaluate placement`: tables and JSON of a folder, the simulator's error first."""

import argparse
import json
from pathlib import Path

import pytest

from simulation.evaluate.placement import cli, measuring
from simulation.evaluate.placement.measuring import Bench
from simulation.evaluate.placement.settings import ExperimentSettings
from surgecast.errors import ConfigError
from tests.support.placement_bench import write_grid


def called(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.configure(parser)
    return cli.run(parser.parse_args(list(words)))


@pytest.fixture(autouse=True)
def no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is encoded, so that no source need be made."""

    def ready(settings: ExperimentSettings, folder: Path) -> Bench:
        return Bench(settings, "ffmpeg", folder / "source.mp4", folder)

    monkeypatch.setattr(measuring, "ready", ready)


def test_simulated_figures_say_so_and_come_after_the_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_grid(tmp_path)
    words = [
        "--simulate",
        "--policies",
        "R0,R2,ours",
        "--seeds",
        "1",
        "--length",
        "120",
        "--block",
        "120",
    ]
    assert called(str(tmp_path), *words, "--json", str(tmp_path / "f.json")) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.index("simulator against") < told.index("SIMULATED")
    assert "real tasks" not in told
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["simulator"]["passes"]
    assert all(one["simulated"] for one in figures["comparisons"])
    assert [one["policy"] for one in figures["comparisons"][0]["policies"]] == ["R0", "R2", "ours"]


def test_studies_of_what_is_new_tell_the_first_samples_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_grid(tmp_path)
    words = ["--simulate", "--policies", "R2", "--seeds", "1", "--length", "120", "--block", "120"]
    assert called(str(tmp_path), *words, "--study", "new_rendition,cold_start") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "of the first 10 with the new rendition" in told
    assert "of the first 100" in told


def test_without_a_grid_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--measure-grid"):
        called(str(tmp_path))


def test_an_unknown_policy_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        called(str(tmp_path), "--policies", "R9")
    assert "allowed: R0, R1" in capsys.readouterr().err
