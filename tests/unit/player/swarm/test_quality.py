"""Outcomes of viewers, and what they come to together."""

import io
import json
import random

import pytest
from rich.console import Console

from player.report import Latency
from player.swarm.quality import Outcome, Spread, quality_of, spread_of
from player.swarm.report import Moment, SwarmReport, as_table, as_view, spread_ms


def outcome(region: str = "a", **values: object) -> Outcome:
    fields: dict[str, object] = {
        "region": region,
        "startup_s": 0.5,
        "played_s": 99.0,
        "stalls": 0,
        "stall_s": 0.0,
        "live_latency_s": Latency(7.0, 8.0, 9.0),
        "rungs": {"720p": 3},
        "switches": 1,
        "moves": 0,
        "rejoins": 0,
        "received_bytes": 100,
        "errors": {},
        "anomalies": {},
        "error": None,
    }
    return Outcome(**{**fields, **values})  # type: ignore[arg-type]


def moment(t_s: float, **values: object) -> Moment:
    fields: dict[str, object] = {
        "t_s": t_s,
        "utc": 1e9 + t_s,
        "channel": "demo",
        "viewers": {"a": 3, "b": 1},
        "wanted": 4,
        "joined": 4,
        "left": 0,
        "states": {"playing": 4},
        "rungs": {"720p": 4},
        "stalls": 0,
        "requests": int(10 * t_s),
        "received_bytes": int(1e6 * t_s),
        "errors": {},
        "servers": {"o:8080": 4},
        "spread_ms": 12.0,
    }
    return Moment(**{**fields, **values})  # type: ignore[arg-type]


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    random.Random(1).shuffle(values)
    assert spread_of(values) == Spread(50.0, 95.0, 99.0, 100.0)
    assert spread_of([3.0]) == Spread(3.0, 3.0, 3.0, 3.0) and spread_of([]) is None


def test_sums_and_shares() -> None:
    found = quality_of(
        [
            outcome(stalls=1, stall_s=1.0),
            outcome(errors={"HTTP 404": 2, "connection": 1}, moves=1),
            outcome(anomalies={"segment URI changed": 1, "segments missed": 4}),
            outcome(startup_s=None, played_s=0.0, live_latency_s=None, error="HTTP 410"),
        ]
    )
    assert (found.viewers, found.started, found.failed, found.stalled) == (4, 3, 1, 1)
    assert found.rebuffering_ratio_all == pytest.approx(1 / 298)
    assert found.rebuffering_ratio == Spread(0.0, 0.01, 0.01, 0.01)
    assert found.http_errors == {"404": 2} and found.request_errors["connection"] == 1
    assert found.wrong_sequence == 1 and found.moved == 1
    assert found.rungs == {"720p": 12} and found.errors == {"HTTP 410": 1}


def test_nobody() -> None:
    found = quality_of([])
    assert (found.viewers, found.startup_s, found.rebuffering_ratio_all) == (0, None, 0.0)


def test_the_spread_of_pictures() -> None:
    assert spread_ms([7.0, 7.25, 7.1]) == 250.0
    assert spread_ms([7.0]) is None


def test_the_report_is_json_and_has_the_truth() -> None:
    report = SwarmReport.of(
        "http://o/live/demo/index.m3u8",
        10.0,
        [outcome("a"), outcome("b", error="gone")],
        [moment(1.0), moment(2.0, viewers={"a": 9}, spread_ms=None)],
        cpu_s=1.0,
        requests=20,
    )
    values = json.loads(json.dumps(report.as_dict()))
    assert values["viewers_peak"] == 9 and not values["played"]
    assert values["regions"]["a"]["failed"] == 0 and values["total"]["failed"] == 1
    assert values["truth"][0] == {
        "t_s": 1.0,
        "utc": 1e9 + 1.0,
        "viewers": {"demo": {"a": 3, "b": 1}},
    }
    assert values["spread_ms"]["max"] == 12.0


def test_the_tables_can_be_read() -> None:
    report = SwarmReport.of("u", 10.0, [outcome("a"), outcome("b")], [], cpu_s=1.0, requests=20)
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(as_table(report))
    console.print(as_view(moment(2.0), moment(1.0)))
    text = console.export_text()
    assert "2, 0 cut off" in text and "8.0 Mbit/s, 10 requests/s" in text
    assert "7.00 / 7.00 / 7.00 / 7.00 s" in text and "4 of 4 wanted" in text
