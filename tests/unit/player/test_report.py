"""The report: ratios, percentiles, JSON and the table."""

import io
import json

from rich.console import Console

from player.report import Latency, Report, as_table, latency_of


def test_rebuffering_ratio_is_stall_over_stall_and_play() -> None:
    assert Report("u", 10.0).rebuffering_ratio == 0.0
    assert Report("u", 10.0, played_s=6.0, stall_s=2.0).rebuffering_ratio == 0.25


def test_percentiles_are_values_that_occurred() -> None:
    assert latency_of([]) is None
    assert latency_of([3.0]) == Latency(3.0, 3.0, 3.0)
    assert latency_of([float(value) for value in range(100, 0, -1)]) == Latency(50.0, 95.0, 100.0)


def test_played_means_shown_and_not_broken() -> None:
    assert not Report("u", 10.0).played
    assert Report("u", 10.0, startup_s=0.5).played
    assert not Report("u", 10.0, startup_s=0.5, error="gone").played


def test_json_has_the_names_of_the_code() -> None:
    report = Report("u", 10.0, startup_s=0.51234567, live_latency_s=Latency(6.0, 7.0, 8.0))
    values = json.loads(json.dumps(report.as_dict()))
    assert values["startup_s"] == 0.5123
    assert values["live_latency_s"] == {"median_s": 6.0, "p95_s": 7.0, "max_s": 8.0}
    assert values["played"] is True and values["rebuffering_ratio"] == 0.0


def test_the_table_says_what_happened() -> None:
    report = Report(
        "http://origin/live/demo/index.m3u8",
        10.0,
        startup_s=0.5,
        rungs={"720p": 3, "360p": 1},
        request_errors={"HTTP 404": 2},
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(as_table(report))
    text = console.export_text()
    assert "720p: 3, 360p: 1" in text and "HTTP 404: 2" in text and "played" in text
