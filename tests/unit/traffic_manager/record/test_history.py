"""The history, on SQLite always and on PostgreSQL where there is one."""

import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr

from surgecast.errors import LocalError
from tests.support.postgres import running_postgres, why_not
from traffic_manager.record.history import History, decisions, metadata, migrate
from traffic_manager.record.recorder import Recorder
from traffic_manager.record.records import (
    DecisionRecord,
    DemandRecord,
    Incident,
    Outcome,
    SampleRecord,
)
from traffic_manager.settings import HistorySettings

WAIT_S = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    if reason := why_not():
        pytest.skip(reason)
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'manager.db'}"
        return
    url = request.getfixturevalue("postgres")
    yield url
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture
def history(url) -> Iterator[History]:
    history = History(url)
    yield history
    history.close()


def decision(number: int, at_utc: float) -> DecisionRecord:
    return DecisionRecord(
        id=f"d-{number}",
        at_utc=at_utc,
        action="start",
        region="east",
        rule="forecast_above_setpoint",
        why="90.0 Mbit/s wanted within 8 s",
        expected="relays of east carry 85.0 Mbit/s",
        count=1,
        inputs={"ahead_bps": 90e6},
        quantiles={"horizons_s": [4.0, 8.0], "0.95": [7e7, 9e7]},
    )


def load(at_utc: float, region: str = "east", viewers: int = 3) -> DemandRecord:
    return DemandRecord(at_utc, region, "demo", viewers, 1.5, 4e6, 5e6)


def test_what_was_written_is_read_in_order(history):
    history.write([decision(2, 20.0), decision(1, 10.0), load(11.0), load(12.0, "west", 2**40)])
    rows = history.decisions()
    assert [row["id"] for row in rows] == ["d-1", "d-2"]
    assert rows[0]["inputs"] == {"ahead_bps": 90e6} and rows[0]["quantiles"]["0.95"][1] == 9e7
    assert rows[0]["shadow"] is False and rows[0]["outcome"] is None
    assert [row["id"] for row in history.decisions(after_utc=10.0)] == ["d-2"]
    assert [row["viewers"] for row in history.demand()] == [3, 2**40]
    assert len(history.demand(region="west")) == 1
    assert len(history.demand(limit=1)) == 1


def test_an_outcome_is_added_to_its_decision(history):
    history.write([decision(1, 10.0)])
    history.write([Outcome("d-1", 13.0, "serving after 2.1 s")])
    (row,) = history.decisions()
    assert (row["outcome"], row["outcome_at_utc"]) == ("serving after 2.1 s", 13.0)


def test_a_verdict_is_kept_whatever_is_said_of_the_decision_after_it(history):
    history.write([decision(1, 10.0)])
    history.write([Outcome("d-1", 13.0, "serves after 2.0 s")])
    history.write([Outcome("d-1", 320.0, "needed; serves", "needed", 11.5, {"short_s": 0.0})])
    history.write([Outcome("d-1", 400.0, "needed; serves; stopped")])
    found = history.decision("d-1")
    assert found["outcome"] == "needed; serves; stopped" and found["outcome_at_utc"] == 400.0
    assert (found["verdict"], found["lead_s"], found["facts"]) == ("needed", 11.5, {"short_s": 0.0})


def test_one_decision_is_found_by_its_id_and_the_last_ones_by_their_number(history):
    history.write([decision(number, float(number)) for number in range(1, 6)])
    assert history.decision("d-3")["at_utc"] == 3.0
    assert history.decision("d-3")["facts"] == {} and history.decision("d-9") is None
    assert [row["id"] for row in history.last_decisions(2)] == ["d-4", "d-5"]


def test_a_decision_from_before_there_were_verdicts_is_read(url):
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    if engine.dialect.name == "sqlite":
        Path(engine.url.database).parent.mkdir()
    migrate(engine, "0001")
    old = {c.name: c for c in decisions.columns if c.name not in ("verdict", "lead_s", "facts")}
    values = {name: value for name, value in asdict(decision(1, 10.0)).items() if name in old}
    with engine.begin() as connection:
        table = sa.Table("decisions", sa.MetaData(), autoload_with=connection)
        connection.execute(sa.insert(table), values)
    engine.dispose()
    history = History(url)
    (row,) = history.decisions()
    assert row == history.decision("d-1") == history.last_decisions(1)[0]
    assert (row["why"], row["verdict"], row["facts"]) == (values["why"], None, {})
    history.close()


def test_a_decision_and_its_outcome_may_come_in_one_batch(history):
    history.write([Outcome("d-1", 13.0, "done"), decision(1, 10.0)])
    assert history.decisions()[0]["outcome"] == "done"


def test_all_of_a_batch_or_none(history):
    history.write([decision(1, 10.0)])
    with pytest.raises(LocalError, match="history cannot be used"):
        history.write([load(11.0), decision(1, 12.0)])
    assert history.demand() == [] and len(history.decisions()) == 1


def test_what_is_old_is_forgotten(history):
    history.write([decision(1, 10.0), decision(2, 20.0), load(10.0), Incident(10.0, "lost", "x")])
    assert history.prune(15.0) == 3
    assert [row["id"] for row in history.decisions()] == ["d-2"]


def test_a_database_is_opened_again_with_what_is_in_it(url):
    for number in (1, 2):
        history = History(url)
        history.write([decision(number, float(number))])
        count = len(history.decisions())
        history.close()
    assert count == 2


def test_migrations_make_the_tables_that_the_code_expects(history):
    with history._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_that_cannot_be_had_is_told_without_its_password(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(LocalError, match="history cannot be used"):
        History(f"sqlite:///{blocked}/manager.db")
    with pytest.raises(LocalError) as told:
        History("postgresql://me:sesame@127.0.0.1:1/none")
    assert "sesame" not in str(told.value)


# The thread in front of it.


def recorder(url: str, **values) -> Recorder:
    settings = HistorySettings(url=SecretStr(url), **values)
    return Recorder(settings, utc=lambda: 1000.0)


def test_the_recorder_writes_and_closes_with_nothing_left(url):
    writing = recorder(url)
    writing.start()
    for number in range(1200):
        writing.put(load(900.0 + number / 100))
    writing.close()
    assert writing.written == 1200 and writing.left_out == 0 and writing.problem is None
    again = History(url)
    assert len(again.demand()) == 1200
    again.close()


def test_a_full_queue_leaves_out_and_counts(tmp_path):
    writing = recorder(f"sqlite:///{tmp_path / 'x.db'}", queue_max=100)
    for number in range(130):
        writing.put(load(float(number)))
    assert writing.left_out == 30


def test_a_database_that_refuses_is_told_and_tried_again(tmp_path):
    blocked = tmp_path / "folder"
    blocked.write_text("in the way")
    writing = recorder(f"sqlite:///{blocked}/x.db")
    writing.start()
    writing.put(load(1.0))
    waiting, deadline = threading.Event(), WAIT_S
    while writing.problem is None and deadline > 0:
        waiting.wait(0.02)
        deadline -= 0.02
    assert writing.problem is not None and writing.left_out == 1
    blocked.unlink()
    writing.put(load(2.0))
    writing.close()
    assert writing.problem is None and writing.written == 1


def taken(number: int) -> SampleRecord:
    tasks = [{"channel": "news", "cores": 0.5}]
    return SampleRecord(float(number), "w1", 2.0, "EPYC", 1.0, 0.5, 40.0, tasks)


def test_samples_are_read_as_they_were_written_and_the_last_ones_by_their_number(history):
    history.write([taken(number) for number in range(1, 6)])
    (row,) = history.samples(after_utc=4.0)
    assert {name: row[name] for name in asdict(taken(5))} == asdict(taken(5))
    assert [row["at_utc"] for row in history.last_samples(2)] == [4.0, 5.0]
    assert history.prune(3.0) == 2


def test_samples_wait_for_a_database_that_is_away_and_nothing_else_does(tmp_path, monkeypatch):
    monkeypatch.setattr("traffic_manager.record.recorder.LATER_MAX", 3)
    blocked = tmp_path / "folder"
    blocked.write_text("in the way")
    writing = recorder(f"sqlite:///{blocked}/x.db")
    for number in range(1, 6):
        writing._write([taken(number), load(float(number))])
        writing._closing.set()  # the thread is not there to wait
    assert writing.left_out == 5 + 2, "all that is no sample, and the oldest of them"
    blocked.unlink()
    writing._write([load(6.0)])
    history = History(f"sqlite:///{blocked}/x.db")
    assert [row["at_utc"] for row in history.samples()] == [3.0, 4.0, 5.0]
    assert [row["at_utc"] for row in history.demand()] == [6.0]
    history.close()
    writing.close()
    assert (writing.written, writing.left_out) == (4, 7)


def test_samples_that_a_database_refuses_are_not_tried_for_ever(tmp_path):
    writing = recorder(f"sqlite:///{tmp_path}/x.db")
    writing._keep_samples([dataclasses.replace(taken(1), tasks=[{"what": object()}])])
    writing._write([load(1.0)])
    writing._write([load(2.0)])
    assert (writing.written, writing.left_out, writing.problem) == (2, 1, None)
    writing.close()


def test_old_rows_go_while_it_runs(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    history = History(url)
    history.write([load(10.0), load(990.0)])
    history.close()
    writing = recorder(url, keep_s=100.0)
    writing.start()
    writing.put(load(995.0))
    writing.close()
    history = History(url)
    assert [row["at_utc"] for row in history.demand()] == [990.0, 995.0]
    history.close()


def test_what_earlier_managers_left_open_is_closed_by_the_next_one(history):
    old, told, judged, placed = (decision(n, 100.0 + n) for n in range(4))
    own = dataclasses.replace(decision(4, 110.0), id="new-1")
    placed = dataclasses.replace(placed, action="place")
    history.write([old, told, judged, placed, own])
    history.write([Outcome(told.id, 101.0, "relay-1: serves after 1.0 s")])
    history.write([Outcome(judged.id, 102.0, "needed at once", "needed", 1.0)])
    assert history.close_open("new", 120.0) == 2
    found = {row["id"]: (row["verdict"], row["outcome"]) for row in history.decisions()}
    ended = "the manager that made it ended without judging it"
    assert found == {
        old.id: ("unknown", ended),
        told.id: ("unknown", f"{ended}; relay-1: serves after 1.0 s"),
        judged.id: ("needed", "needed at once"),
        placed.id: (None, None),
        own.id: (None, None),
    }
    assert history.close_open("new", 130.0) == 0


def test_a_recorder_closes_them_when_it_begins(tmp_path):
    url = f"sqlite:///{tmp_path / 'manager.db'}"
    before = History(url)
    before.write([decision(1, 100.0)])
    before.close()
    recorder = Recorder(HistorySettings(url=SecretStr(url)), lambda: 200.0, boot="new")
    recorder.start()
    recorder.close()
    after = History(url)
    assert [row["verdict"] for row in after.decisions()] == ["unknown"]
    after.close()
