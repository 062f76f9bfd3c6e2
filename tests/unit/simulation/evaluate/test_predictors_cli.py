import json
from pathlib import Path

import pytest

from surgecast.cli import main

UCI = "id,duration,codec,width,height,bitrate,framerate,o_codec,o_bitrate,o_framerate,o_width,o_height,utime\n"  # noqa: E501


@pytest.fixture
def file(tmp_path) -> Path:
    lines = [
        f"v{video},10,h264,{640 + 64 * video},360,1e6,25,h264,5e5,25,{width},180,{1 + width / 500}"
        for video in range(8)
        for width in (160, 320, 640)
    ]
    path = tmp_path / "all.csv"
    path.write_text(UCI + "\n".join(lines) + "\n")
    return path


def evaluate(file: Path, *more: str) -> int:
    return main(["evaluate", "predictors", "--data", "uci_transcoding_sample", "--file", str(file),
                 "--kinds", "sgd,mean_per_rendition", *more])  # fmt: skip


def test_kinds_are_judged_and_all_figures_written(file, tmp_path, capsys):
    found = tmp_path / "found.json"
    assert evaluate(file, "--probes", "0,1", "--fold-count", "2", "--json", str(found)) == 0
    assert "mean_per_rendition" in capsys.readouterr().out
    outcome = json.loads(found.read_text())
    assert (outcome["way"], outcome["folds"], len(outcome["verdicts"])) == ("video", 2, 2)


def test_few_groups_are_left_out_one_at_a_time(file, tmp_path):
    found = tmp_path / "found.json"
    assert evaluate(file, "--json", str(found)) == 0
    assert json.loads(found.read_text())["folds"] == 8


def test_mistakes_are_said_in_words(file, capsys):
    assert evaluate(file, "--folds", "machine") == 1
    assert "allows: video, random" in capsys.readouterr().err
    assert evaluate(file.parent / "nowhere.csv") == 1
    assert "cannot be read" in capsys.readouterr().err
    for wrong in (["--kinds", "oracle"], ["--probes", "-1"], ["--draws", "0"]):
        with pytest.raises(SystemExit):
            evaluate(file, *wrong)
    assert "no kind 'oracle'; allowed: svr_seed" in capsys.readouterr().err
