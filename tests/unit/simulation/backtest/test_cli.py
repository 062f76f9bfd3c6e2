"""`surgecast backtest` from file to table, JSON, pictures and page."""

import importlib.util
import json

import numpy as np
import pytest

from surgecast.cli import main
from tests.support.traces import crowd

CALL = ("--kind", "persistence,damped_drift", "--horizons", "1m,5m", "--start-up", "3m")


@pytest.fixture
def file(tmp_path):
    values = np.concatenate([crowd(160, seed) for seed in (1, 2)])
    rows = "".join(f"{60 * step},{value:.1f}\n" for step, value in enumerate(values))
    path = tmp_path / "made.csv"
    path.write_text("t_s,viewers\n" + rows)
    return path


def test_table_json_pictures_and_page(file, tmp_path, capsys):
    result, page, plots = tmp_path / "r.json", tmp_path / "r.html", tmp_path / "plots"
    call = [*CALL, "--train-until", "9600", "--json", result, "--html", page, "--plots", plots]
    assert main(["backtest", str(file), *map(str, call)]) == 0
    shown = capsys.readouterr().out
    assert "damped_drift" in shown and "oracle" in shown and "crossings of" in shown
    (trace,) = json.loads(result.read_text())["traces"]
    assert trace["steps"] == 320 and trace["steps_judged"] == 160
    assert trace["scores"]["persistence"]["300"]["mase"] == pytest.approx(1, rel=1e-4)
    assert trace["scores"]["damped_drift"].keys() == {"60", "180", "300"}
    assert trace["alarms"]["reactive"]["crossings"] == 4
    assert set(trace["costs_by_start_s"]["180"]) == {
        "reactive", "oracle", "persistence", "damped_drift"
    }  # fmt: skip
    pictures = sorted(path.name for path in plots.iterdir())
    assert pictures == [
        f"made-{n}.png" for n in ("calibration", "errors", "leads", "relays", "trace")
    ]
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 5 and "http" not in text


def test_several_traces_are_judged_together(file, tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text(file.read_text())
    assert main(["backtest", str(file), str(other), *CALL]) == 0
    assert "all traces together" in capsys.readouterr().out


def test_what_was_repaired_is_told(file, tmp_path, capsys):
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:50] + lines[52:]))
    assert main(["backtest", str(file), *CALL]) == 0
    assert "repaired: missing steps: the last value is held: 2" in capsys.readouterr().out


def test_pictures_without_matplotlib_are_refused_before_anything_is_reckoned(
    file, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["backtest", str(file), *CALL, "--plots", str(tmp_path)]) == 1
    assert "surgecast[plots]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (("--kind", "magic"), "no kind 'magic'; allowed: persistence"),
        (("--horizons", "soon"), "expected seconds"),
        (("--train-until", "later"), "expected seconds, or a date"),
        (("--relay", "0"), "above 0"),
    ],
)
def test_a_mistake_in_the_call_is_named(file, capsys, call, complaint):
    with pytest.raises(SystemExit):
        main(["backtest", str(file), *call])
    assert complaint in capsys.readouterr().err


def test_a_file_that_cannot_be_used_is_named(tmp_path, capsys):
    assert main(["backtest", str(tmp_path / "none.csv")]) == 1
    assert "none.csv: cannot be read" in capsys.readouterr().err
