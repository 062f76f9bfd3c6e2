"""Whatever happens to servers and demand, every decision is judged, and once."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fleets import origin_report, report_of
from traffic_manager.demand import Demand, Load
from traffic_manager.fleet import STATES, Server
from traffic_manager.policy.view import View
from traffic_manager.record.following import VERDICTS, Judged
from traffic_manager.record.outcomes import Outcomes
from traffic_manager.record.records import DecisionRecord
from traffic_manager.settings import PolicySettings

REGIONS = ("east", "west")
DECISIONS = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["start", "drain", "budget", "rung_cap"]),
        "region": st.sampled_from(REGIONS),
        "server": st.sampled_from(["", "origin", "relay-0", "relay-1"]),
        "channel": st.sampled_from(["", "demo"]),
        "count": st.integers(0, 4),
        "rung": st.sampled_from([None, "240p"]),
        "budget_bps": st.sampled_from([None, 1e7]),
        "rule": st.sampled_from(["forecast_above_setpoint", "relays_min"]),
        "shadow": st.booleans(),
    }
)
STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0.0, max_value=200.0),
        st.fixed_dictionaries({region: st.floats(0.0, 1e9) for region in REGIONS}),
        st.lists(st.sampled_from(STATES), min_size=2, max_size=2),
        st.one_of(st.none(), DECISIONS),
    ),
    max_size=30,
)
"""Time that passes, what is wanted, the states of two relays, what is decided."""


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_every_decision_is_judged_once(steps):
    outcomes, judged, made, now_s = Outcomes(PolicySettings()), [], [], 0.0
    for passed_s, wanted, states, decision in steps:
        now_s += passed_s
        view = seen(now_s, wanted, states)
        if decision is not None:
            made.append(record_of(len(made), now_s, decision))
            outcomes.follow(made[-1], view)
        judged += outcomes.look(view, now_s, shadow=bool(decision and decision["shadow"]))
    for _ in range(3):
        now_s += 700.0
        judged += outcomes.look(seen(now_s, dict.fromkeys(REGIONS, 0.0), STATES[:2]), now_s)
    assert sorted(one.record.id for one in judged) == sorted(record.id for record in made)
    assert sum(outcomes.counts.values()) == len(made)
    told = outcomes.shadow.told()
    assert 0 <= told["covered_s"] <= told["short_s"] <= told["for_s"]
    for one in judged:
        check(one)


def check(judged: Judged) -> None:
    assert judged.verdict in VERDICTS and judged.text
    if judged.record.action == "start" and judged.lead_s is not None:
        assert (judged.lead_s < 0) == (judged.verdict == "late")


def record_of(number: int, now_s: float, values: dict) -> DecisionRecord:
    return DecisionRecord(id=f"d-{number}", at_utc=now_s, why="", expected="", **values)


def seen(now_s: float, wanted: dict[str, float], states) -> View:
    origin = Server("origin", "origin", "", "west", "serving", 0.0, report=origin_report())
    servers = [origin]
    for number, state in enumerate(states):
        report = report_of(f"relay-{number}")
        relay = Server(f"relay-{number}", "relay", "", "east", state, now_s, order=f"d-{number}")
        if state == "serving":
            relay = replace(relay, serving_at_s=now_s)
        servers.append(replace(relay, report=report))
    cells = {(region, "demo"): Load(1, 0.0, 0.0, bps) for region, bps in wanted.items()}
    return View(now_s, servers, Demand(now_s, cells), lead_time_s=10.0)
