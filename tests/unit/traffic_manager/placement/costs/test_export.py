"""Samples on record as a table for other programs."""

import argparse
import csv
from importlib.util import find_spec

import pytest

from surgecast.errors import ConfigError, LocalError
from tests.support.transcodes import Machines
from traffic_manager.placement.cli import configure, run
from traffic_manager.placement.costs import export
from traffic_manager.placement.costs.export import COLUMNS, export_samples
from traffic_manager.record import history
from traffic_manager.record.history import History
from traffic_manager.record.records import SampleRecord


@pytest.fixture
def url(tmp_path):
    machines = Machines()
    url = f"sqlite:///{tmp_path / 'manager.db'}"
    made = History(url)
    rows = [machines.sample("small", *("news", "sport")[: 1 + n % 2]).row() for n in range(7)]
    made.write([SampleRecord(**row) for row in rows])
    made.close()
    return url


def test_a_table_has_a_row_for_each_task(url, tmp_path, monkeypatch):
    # Pages are put together.
    monkeypatch.setattr(export, "ROWS_MAX", 3)
    monkeypatch.setattr(history, "ROWS_MAX", 3)
    assert export_samples(url, tmp_path / "all.csv") == 10
    with (tmp_path / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [int(row["sample"]) for row in rows] == [0, 1, 1, 2, 3, 3, 4, 5, 5, 6]
    assert rows[1]["channel"] == "news" and rows[2]["channel"] == "sport"
    assert float(rows[1]["cost_cores"]) == pytest.approx(
        float(rows[1]["cpu_cores"]) / float(rows[1]["speed"])
    )
    assert rows[0]["rungs"].startswith("[{") and rows[0]["preset"] == "veryfast"


def test_a_table_begins_where_it_is_told(url, tmp_path):
    assert export_samples(url, tmp_path / "late.csv", after_utc=300.0) == 3


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed (extra)")
def test_parquet_says_the_same_as_csv(url, tmp_path):
    from pyarrow.parquet import read_table

    assert export_samples(url, tmp_path / "all.parquet") == 10
    export_samples(url, tmp_path / "all.csv")
    with (tmp_path / "all.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = read_table(tmp_path / "all.parquet").to_pylist()
    assert [row["cost_cores"] for row in table] == [float(row["cost_cores"]) for row in rows]
    assert [row["low_latency"] for row in table] == [False] * 10


def test_what_cannot_be_written_is_told(url, tmp_path):
    with pytest.raises(LocalError, match=r"allowed: \.csv, \.parquet"):
        export_samples(url, tmp_path / "all.xlsx")
    with pytest.raises(LocalError, match="cannot be written"):
        export_samples(url, tmp_path / "nowhere" / "all.csv")
    if find_spec("pyarrow") is None:
        with pytest.raises(LocalError, match="pip install"):
            export_samples(url, tmp_path / "all.parquet")


def place(*words: str) -> int:
    parser = argparse.ArgumentParser()
    configure(parser)
    return run(parser.parse_args(list(words)))


def test_surgecast_place_exports_what_the_managers_history_has(url, tmp_path, capsys):
    config = tmp_path / "manager.yaml"
    config.write_text(f"history: {{url: '{url}'}}")
    assert place("--export", str(tmp_path / "all.csv"), "--config", str(config)) == 0
    assert "10 rows written" in capsys.readouterr().out
    config.write_text("history: {url: null}")
    with pytest.raises(ConfigError, match=r"history\.url is not set"):
        place("--export", str(tmp_path / "all.csv"), "--config", str(config))
    with pytest.raises(ConfigError, match="expected --config"):
        place("--export", str(tmp_path / "all.csv"))
