"""A decision as a page: what people must find on it."""

import io
from typing import Any, get_args

import pytest
from rich.console import Console

from traffic_manager.policy.decisions import Rule
from traffic_manager.record import why

DECISION: dict[str, Any] = {
    "id": "9f02ab41-3",
    "at_utc": 1.8e9,
    "action": "start",
    "region": "east",
    "rule": "forecast_above_setpoint",
    "why": "90.0 Mbit/s wanted within 8 s; above 80% of 85.0 Mbit/s",
    "expected": "relays of east carry 85.0 Mbit/s",
    "count": 2,
    "inputs": {"demand_bps": 60e6, "relays_bps": 0.0, "origins_bps": 85e6, "lead_time_s": 12.0},
    "quantiles": {
        "horizons_s": [10.0, 60.0],
        "quantiles_bps": {
            "0.05": [50e6, 40e6],
            "0.25": [60e6, 60e6],
            "0.5": [65e6, 80e6],
            "0.75": [70e6, 110e6],
            "0.95": [80e6, 130e6],
        },
        "scorecard": {"mase": 0.834, "coverage": {"0.9": 0.88}, "coverage_in_rise": {"0.9": 0.91}},
        "explanation": {
            "kind": "hedge",
            "drift": {"ratio": 2.34, "since_s": 1.8e9},
            "repairs": {"gap": 2, "negative": 0},
            "weights_by_horizon_s": {"10": {"holt": 1.0}, "60": {"holt": 0.3, "rls": 0.7}},
        },
    },
    "outcome": "needed at 08:00:15 UTC; 11.0 s ahead; relay-east-1: serves after 4.0 s",
    "outcome_at_utc": 1.8e9 + 308,
    "verdict": "needed",
    "lead_s": 11.0,
    "facts": {
        "serving_after_s": 4.0,
        "crossed_after_s": 15.0,
        "peak_bps": 1e8,
        "peak_share": 1.18,
        "short_s": 0.0,
    },
}


def printed(renderable: Any, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def page(**values: Any) -> str:
    return printed(why.page(DECISION | values))


def test_the_page_says_what_was_done_when_and_why():
    text = page()
    assert "started 2 relays in east   ✔ needed" in text
    assert "15 January 2027, 08:00:00 UTC   9f02ab41-3" in text
    assert "90.0 Mbit/s wanted within 8 s; above 80% of 85.0 Mbit/s" in text
    assert "the forecast is above setpoint and margin" in text
    assert "relays of east carry 85.0 Mbit/s" in text


def test_the_page_says_what_was_measured_in_units_of_people():
    text = page()
    told = " ".join(text.split())
    assert "wanted now 60 Mbit/s" in told and "lead time 12 s" in told


def test_the_page_says_whom_the_forecaster_listened_to_and_what_was_wrong_with_it():
    text = page()
    assert text.index("rls") < text.index("holt") and " 70%" in text, "at the horizon next to 60 s"
    assert (
        "its errors are 2.3 times" in text
        and "samples repaired: gap 2" in text
        and "negative" not in text
    )


def test_the_page_says_how_good_its_forecasts_were_lately():
    told = " ".join(page().split())
    assert "its errors were 0.83 of those of no forecast" in told
    assert "the 90% bound held 88% of the time, 91% in a rise" in told


def test_the_page_says_what_came_of_it_in_the_order_of_time():
    text = page()
    assert "✔ needed at 08:00:15 UTC; 11.0 s ahead" in text
    assert text.index("+4.0 s  its relays") < text.index("+15.0 s  demand passed")
    told = " ".join(text.split())
    assert "118% of what could be carried without it; never over budget" in told
    assert text.count("relay-east-1: serves after 4.0 s") == 1


@pytest.mark.parametrize(("first_viewer_after_s", "told"), [(None, True), (5.5, False)])
def test_a_relay_without_viewers_is_told_to_be_one(first_viewer_after_s, told):
    text = page(facts=DECISION["facts"] | {"first_viewer_after_s": first_viewer_after_s})
    assert ("no viewer came to it" in " ".join(text.split())) == told


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"verdict": None, "so_far": {"short_s": 3.0}}, "still followed"),
        ({"verdict": None, "facts": {}}, "the manager that decided it has ended"),
        ({"verdict": None, "facts": {}}, "… not judged"),
        ({"shadow": True}, "shadow mode: decided, and not done"),
        ({"shadow": True}, "would start 2 relays in east"),
        ({"shadow": True}, "its relays would serve"),
        ({"action": "drain", "server": "relay-1"}, "let relay-1 go"),
        ({"action": "budget", "server": "origin", "budget_bps": 4e7}, "held origin to 40 Mbit/s"),
        ({"action": "budget", "server": "origin"}, "gave origin its own budget back"),
        (
            {"action": "rung_cap", "server": "origin", "channel": "demo", "rung": "240p"},
            "capped demo at 240p on origin",
        ),
        (
            {"action": "rung_cap", "server": "origin", "channel": "demo"},
            "lifted the cap of demo on origin",
        ),
        ({"action": "of_tomorrow", "rule": "unheard"}, "rule: unheard"),
    ],
)
def test_every_kind_of_decision_has_its_sentence(values, told):
    assert told in page(**values)


def test_every_rule_has_its_sentence():
    assert set(get_args(Rule)) <= set(why.RULES)


def test_what_is_not_there_is_left_out():
    bare = {name: DECISION[name] for name in ("id", "at_utc", "action", "region", "outcome")}
    text = printed(why.page(bare | {"quantiles": None, "inputs": None, "facts": None}))
    assert "Forecast" not in text and "Measured" not in text and "started 0 relays" in text


def lines(text: str) -> dict[str, str]:
    """By what stands in front of them on the chart."""
    rows = [line.strip() for line in text.splitlines()]
    return {label: row for row in rows for label in ("now", "10 s", "1 min") if label + "  " in row}


def test_the_chart_shows_quantiles_against_what_servers_carry():
    text = page()
    rows = lines(text)
    mark = rows["now"].index("┃")
    assert "servers carry 85 Mbit/s" in text and rows["now"].index("●") < mark
    assert rows["10 s"].index("┃") > rows["10 s"].rindex("─"), "all of it can be carried"
    assert rows["1 min"].index("┿") < rows["1 min"].index("╂") < rows["1 min"].rindex("━")
    assert rows["1 min"].split()[-2:] == ["80.0", "130.0"]


def test_a_forecast_that_was_not_used_says_why():
    quantiles = DECISION["quantiles"] | {"not_used_because": "it learned nothing for 30 s"}
    assert "not used: it learned nothing for 30 s" in page(quantiles=quantiles)


def test_a_chart_of_nothing_is_a_chart():
    flat = {"horizons_s": [10.0], "quantiles_bps": {"0.5": [0.0], "0.95": [0.0]}}
    text = page(quantiles=flat, inputs={})
    assert "10 s" in text and "servers carry" not in text.split("Forecast")[1]


def test_the_list_has_a_line_for_each_and_days_only_where_there_are_several():
    late = DECISION | {"verdict": "late", "id": "9f02ab41-12"}
    text = printed(why.listing([DECISION, late]), 80)
    first, second = text.strip().splitlines()[1:]
    assert first.split()[:4] == ["9f02ab41-3", "08:00:00", "✔", "started"]
    assert second.split()[:3] == ["9f02ab41-12", "08:00:00", "✘"]
    other = DECISION | {"at_utc": 1.8e9 + 86400}
    assert "16 Jan 08:00:00" in printed(why.listing([DECISION, other]), 80)


def test_it_fits_a_terminal_of_eighty_columns():
    text = printed(why.page(DECISION), 80)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
