"""The history of a live manager as a scenario: what its recorder wrote comes back as crowds."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from player.swarm.arrivals import Leave
from player.swarm.words import crowd_of
from simulation.studies import replay
from simulation.studies.variation import Study
from surgecast.errors import ConfigError
from tests.support.postgres import running_postgres, why_not
from tests.support.studies import SMALL
from traffic_manager.record import history as history_module
from traffic_manager.record.history import History
from traffic_manager.record.recorder import Recorder
from traffic_manager.record.records import DemandRecord
from traffic_manager.settings import HistorySettings

START_UTC = 1_800_000_000.0


def row(at_s: float, viewers: int, joins: float = 0.0, **names: str) -> DemandRecord:
    named = {"region": "east", "channel": "demo", **names}
    return DemandRecord(
        START_UTC + at_s, **named, viewers=viewers, joins_per_s=joins, egress_bps=0, wanted_bps=0
    )


def written(folder: Path, rows: list[DemandRecord]) -> str:
    """By the recorder that a manager has."""
    return put_into(f"sqlite:///{folder / 'manager.db'}", rows)


def put_into(url: str, rows: list[DemandRecord]) -> str:
    recorder = Recorder(HistorySettings(url=SecretStr(url)), utc=lambda: START_UTC)
    for record in rows:
        recorder.put(record)
    recorder.start()
    recorder.close()
    assert recorder.written == len(rows)
    return url


def record_of(url: str, from_s: float = -1e9, to_s: float = 1e9) -> replay.Recorded:
    history = replay.opened(url)
    try:
        rows = replay.rows_of(history, START_UTC + from_s, START_UTC + to_s)
    finally:
        history.close()
    return replay.recorded(rows)


def test_what_was_recorded_is_what_comes(tmp_path: Path) -> None:
    counts = [0, 40, 160, 150, 20]
    rows = [row(10 * n, count) for n, count in enumerate(counts)]
    rows += [row(10 * n, 7, region="west", channel="news") for n in (2, 3)]
    record = record_of(written(tmp_path, rows))
    crowds = {(crowd.channel, crowd.region): crowd for crowd in record.crowds}
    curve = crowd_of(crowds["demo", "east"].arrivals, (Leave.FOLLOW, 1.0)).curve
    assert [curve.at(10.0 * n) for n in range(5)] == counts
    news = crowd_of(crowds["news", "west"].arrivals, (Leave.FOLLOW, 1.0)).curve
    assert [news.at(10.0 * n) for n in range(5)] == [0, 0, 7, 7, 0], "no row means nobody"

    study = replay.study_of(record, Study(**SMALL), "recorded")
    assert study.duration_s == 40
    assert {channel.channel for channel in study.channels} == {"demo", "news"}
    assert set(study.regions) >= {"east", "west"}
    assert study.origin == Study(**SMALL).origin


def test_it_is_the_same_from_postgresql(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    rows = [row(10 * n, 30 + n, 1.0, region=r) for n in range(60) for r in ("east", "west")]
    with running_postgres() as url:
        found = record_of(put_into(url, rows), 100, 400)
    assert found == record_of(written(tmp_path, rows), 100, 400) and len(found.crowds) == 2


def test_a_part_of_the_time_is_replayed_alone(tmp_path: Path) -> None:
    record = record_of(written(tmp_path, [row(10 * n, n + 1) for n in range(100)]), 200, 300)
    assert (record.began_utc - START_UTC, record.ended_utc - START_UTC) == (200, 300)


def test_viewers_who_come_and_go_while_the_count_stands_still_watch_for_a_while(
    tmp_path: Path,
) -> None:
    steady = [row(10 * n, 600, joins=2.0) for n in range(200)]
    (crowd,) = record_of(written(tmp_path, steady)).crowds
    assert crowd.watch_s_mean == pytest.approx(300, rel=0.05), "600 viewers, 2 leave a second"


def test_viewers_who_only_follow_the_curve_have_no_watch_time(tmp_path: Path) -> None:
    rising = [row(10 * n, 20 * n, joins=2.0) for n in range(50)]
    assert record_of(written(tmp_path, rising)).crowds[0].watch_s_mean is None


def test_more_rows_than_one_answer_holds(tmp_path: Path, monkeypatch) -> None:
    rows = [row(10 * n, n + 1, region=r) for n in range(40) for r in ("east", "west")]
    url = written(tmp_path, rows)
    monkeypatch.setattr(replay, "PAGE_MAX", 7)
    monkeypatch.setattr(history_module, "ROWS_MAX", 7)
    asked = History.demand
    monkeypatch.setattr(History, "demand", lambda self, after: asked(self, after, 7))
    history = replay.opened(url)
    found = replay.rows_of(history, 0.0, 1e11)
    history.close()
    assert len(found) == len(rows)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///none.db", "there is no such file"),
        ("sqlite://", "there is no such file"),
        ("no url", "expected sqlite:///PATH or postgresql://"),
    ],
)
def test_a_history_that_is_not_there_is_not_made(url: str, told: str, tmp_path: Path) -> None:
    url = url.replace("none.db", str(tmp_path / "none.db"))
    with pytest.raises(ConfigError, match=told):
        replay.opened(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "fewer than two moments"),
        ([row(0, 5)], "fewer than two moments"),
        ([row(0, 0), row(10, 0)], "nobody watched"),
    ],
)
def test_a_history_without_an_audience(rows: list[DemandRecord], told: str, tmp_path: Path) -> None:
    History(f"sqlite:///{tmp_path / 'manager.db'}").close()
    url = written(tmp_path, rows) if rows else f"sqlite:///{tmp_path / 'manager.db'}"
    with pytest.raises(ConfigError, match=told):
        record_of(url)
