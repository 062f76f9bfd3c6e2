"""What was learned is kept on disk, and a file that is none does no harm."""

import json

import pytest

from traffic_manager import forecasts_file
from traffic_manager.demand import Demand, Load
from traffic_manager.forecasts import Forecasts
from traffic_manager.forecasts_file import NAME, ForecastsFile
from traffic_manager.settings import ForecastingSettings

UTC = 1.8e9


def made() -> Forecasts:
    return Forecasts(ForecastingSettings(kind="damped_drift"))


def learned(regions: int = 2, seconds: int = 30) -> Forecasts:
    forecasts = made()
    cells = {(f"r{n}", "demo"): Load(10, 0.0, 1e7, 1e7) for n in range(regions)}
    for second in range(seconds):
        forecasts.learn(Demand(second, cells), second, UTC + second)
        forecasts.ahead(16.0, second)
    return forecasts


async def test_what_was_kept_goes_on(tmp_path):
    before, after = learned(), made()
    await ForecastsFile(tmp_path / "state", before).write()
    ForecastsFile(tmp_path / "state", after).load()
    assert after.save() == before.save() and after.regions() == ["r0", "r1"]
    assert [path.name for path in (tmp_path / "state").iterdir()] == [NAME]


async def test_one_that_learned_nothing_leaves_what_was_kept(tmp_path):
    await ForecastsFile(tmp_path, learned()).write()
    text = (tmp_path / NAME).read_text()
    await ForecastsFile(tmp_path, made()).write()
    assert (tmp_path / NAME).read_text() == text


def test_without_a_file_learning_begins(tmp_path, caplog):
    forecasts = made()
    ForecastsFile(tmp_path, forecasts).load()
    assert forecasts.regions() == [] and not caplog.records


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"3", b'{"version": 7}', b"[" * 100_000],
    ids=["empty", "cut off", "not text", "a list", "a number", "another version", "too deep"],
)
def test_a_file_that_makes_no_sense_is_a_warning(tmp_path, content, capsys):
    (tmp_path / NAME).write_bytes(content)
    forecasts = made()
    ForecastsFile(tmp_path, forecasts).load()
    assert forecasts.regions() == []
    assert learned().regions() == ["r0", "r1"]


async def test_a_file_that_was_changed_by_hand_is_a_warning(tmp_path):
    await ForecastsFile(tmp_path, learned()).write()
    state = json.loads((tmp_path / NAME).read_text())
    state["regions"]["r1"]["forecaster"]["past"] = "none"
    (tmp_path / NAME).write_text(json.dumps(state))
    forecasts = made()
    ForecastsFile(tmp_path, forecasts).load()
    assert forecasts.regions() == []


async def test_its_size_is_bounded_both_ways(tmp_path, monkeypatch):
    await ForecastsFile(tmp_path, learned(4)).write()
    size = (tmp_path / NAME).stat().st_size
    monkeypatch.setattr(forecasts_file, "BYTES_MAX", size)
    await ForecastsFile(tmp_path, learned(4)).write()
    assert 0 < len(json.loads((tmp_path / NAME).read_text())["regions"]) < 4
    (tmp_path / NAME).write_text(" " * (size + 1))
    forecasts = made()
    ForecastsFile(tmp_path, forecasts).load()
    assert forecasts.regions() == []


async def test_a_disk_that_refuses_delays_and_breaks_nothing(tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    keeper = ForecastsFile(tmp_path / "state", learned())
    await keeper.write()
    await keeper.write()
    (tmp_path / "state").unlink()
    await keeper.write()
    assert (tmp_path / "state" / NAME).exists()
