"""What a decision was good for: situation -> verdict. An origin carries 85 Mbit/s, a relay as
much; it serves the east as long as nobody else does."""

from dataclasses import dataclass, field, replace

import pytest

from tests.support.fleets import channel_report, origin_report, report_of
from traffic_manager.demand import Demand, Load
from traffic_manager.fleet import Server
from traffic_manager.policy.view import View
from traffic_manager.record.following import Judged
from traffic_manager.record.outcomes import Outcomes
from traffic_manager.record.records import DecisionRecord
from traffic_manager.settings import PolicySettings

MBPS = 1e6
LEAD_TIME_S = 10.0
SETTINGS = PolicySettings(capacity_default_bps=100_000_000)
UTC = 1.8e9
"""08:00:00"""


@dataclass
class Story:
    """Time passes second by second; a test says what is wanted, and which servers there are."""

    outcomes: Outcomes = field(default_factory=lambda: Outcomes(SETTINGS))
    now_s: float = 0.0
    wanted: dict[str, float] = field(default_factory=lambda: {"east": 30.0})
    """Mbit/s by region."""
    servers: dict[str, Server] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)
    made: int = 0
    shadow: bool = False

    def __post_init__(self) -> None:
        origin = origin_report(region="west", channels=[channel_report()])
        self.servers["origin"] = Server(
            "origin", "origin", origin.url, "west", "serving", 0.0, report=origin
        )
        self.outcomes.look(self.view, UTC, shadow=self.shadow)

    @property
    def view(self) -> View:
        cells = {(r, "demo"): Load(1, 0.0, 0.0, mbps * MBPS) for r, mbps in self.wanted.items()}
        servers = list(self.servers.values())
        return View(self.now_s, servers, Demand(self.now_s, cells), lead_time_s=LEAD_TIME_S)

    def decide(self, action: str, **values) -> DecisionRecord:
        self.made += 1
        texts = {"region": "east", "rule": "forecast_above_setpoint", "why": "", "expected": ""}
        fields = {"id": f"d-{self.made}", "at_utc": UTC + self.now_s, "shadow": self.shadow}
        record = DecisionRecord(**{"action": action, **texts, **fields, **values})
        self.outcomes.follow(record, self.view)
        return record

    def start(self, count: int = 1, forecast: float = 100.0, **values) -> DecisionRecord:
        values = {"inputs": {"ahead_bps": forecast * MBPS}, **values}
        return self.decide("start", count=count, **values)

    def serves(self, name: str = "relay-1", order: str = "d-1", **values) -> None:
        """From now on."""
        report = report_of(name, viewers=values.pop("viewers", {}))
        fields = {"order": order, "report": report, "serving_at_s": self.now_s}
        self.servers[name] = Server(
            name, "relay", report.url, "east", "serving", self.now_s, **fields | values
        )

    def ends(self, name: str, state: str = "stopped", viewers: int = 0) -> None:
        report = report_of(name, viewers={"east": viewers})
        self.servers[name] = replace(
            self.servers[name], state=state, since_s=self.now_s, report=report
        )

    def passes(self, seconds: int) -> list[Judged]:
        for _ in range(seconds):
            self.now_s += 1
            self.judged += self.outcomes.look(self.view, UTC + self.now_s, shadow=self.shadow)
        return self.judged

    def end(self) -> Judged:
        """The only verdict there is, in the end."""
        (judged,) = self.passes(700)
        return judged


def test_needed_when_demand_passed_what_the_others_carry_and_the_relay_served_by_then():
    story = Story()
    story.start(forecast=95)
    story.passes(4)
    story.serves()
    story.passes(10)
    story.wanted["east"] = 100
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("needed", 11.0)
    assert judged.text == (
        "needed at 08:00:15 UTC, when demand passed what the others carry; 11.0 s ahead"
    )
    assert judged.facts["crossed_after_s"] == 15 and judged.facts["serving_after_s"] == 4
    assert judged.facts["reached_after_s"] == 15 and judged.facts["peak_bps"] == 100 * MBPS
    assert judged.facts["peak_share"] == pytest.approx(100 / 85, abs=1e-3)
    assert judged.facts["short_s"] == 0, "with the relay they carried it"
    assert story.outcomes.counts == {("start", "needed", False): 1}


def test_late_when_it_served_after_that():
    story = Story()
    story.start()
    story.passes(5)
    story.wanted["east"] = 100
    story.passes(7)
    story.serves(first_viewer_at_s=13.5)
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("late", -6.0)
    assert "6.0 s too late" in judged.text and judged.facts["short_s"] == 7
    assert judged.facts["first_viewer_after_s"] == 13.5


def test_several_relays_serve_when_the_last_of_them_does_and_one_that_failed_is_told():
    story = Story()
    story.start(count=3)
    story.passes(4)
    story.serves("relay-1")
    story.passes(2)
    story.serves("relay-2")
    story.serves("relay-3", serving_at_s=None)
    story.ends("relay-3", "failed")
    story.passes(3)
    story.wanted["east"] = 100
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("needed", 4.0)
    assert (judged.facts["relays"], judged.facts["relays_failed"]) == (3, 1)


def test_late_by_as_much_as_the_crowd_was_there_before_the_decision():
    story = Story(wanted={"east": 100.0})
    story.passes(8)
    story.start()
    story.passes(2)
    story.serves()
    assert story.end().lead_s == -10.0


def test_late_when_it_never_came_and_was_needed():
    story = Story(wanted={"east": 100.0})
    story.start()
    judged = story.end()
    assert judged.verdict == "late" and "no relay came" in judged.text


def test_early_when_the_crowd_came_long_after_it():
    story = Story()
    story.start()
    story.serves()
    story.passes(100)
    story.wanted["east"] = 100
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("early", 101.0)


def test_false_when_demand_never_came_near():
    story = Story(wanted={"east": 40.0})
    story.start()
    story.serves()
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("false", None)
    assert judged.text == "not needed: demand came to 47% of what the others carry at most"


def test_near_is_above_the_setpoint_and_its_margin():
    story = Story(wanted={"east": 70.0})
    story.start()
    story.serves()
    judged = story.end()
    assert judged.verdict == "needed" and "82% of what the others carry" in judged.text


def test_a_crowd_that_comes_when_nobody_looks_any_more_was_not_why():
    story = Story()
    story.start()
    story.serves()
    story.passes(309)
    assert story.judged == [] and story.outcomes.so_far("d-1")["peak_bps"] == 30 * MBPS
    story.passes(1)
    story.wanted["east"] = 100
    assert story.end().verdict == "false"
    assert story.outcomes.so_far("d-1") is None


@pytest.mark.parametrize("rule", ["relays_min", "operator_offset"])
def test_what_people_ask_for_is_not_judged_by_demand(rule):
    story = Story()
    story.start(rule=rule)
    story.serves()
    assert story.end().verdict == "moot"


def test_moot_when_no_relay_came_and_none_was_needed():
    story = Story()
    story.start()
    judged = story.end()
    assert judged.verdict == "moot" and "none was needed" in judged.text


def test_relays_of_later_decisions_do_not_make_the_first_one_useless():
    story = Story()
    story.start()
    story.serves()
    story.passes(2)
    story.start()
    story.serves("relay-2", "d-2")
    story.wanted["east"] = 160
    first, second = story.passes(400)
    assert (first.verdict, second.verdict) == ("needed", "needed")
    assert first.facts["peak_share"] > second.facts["peak_share"]


def test_a_loss_makes_a_relay_needed_and_one_that_was_let_go_does_not():
    story = Story(wanted={"east": 100.0})
    story.serves("relay-0", "")
    story.start()
    story.serves()
    story.ends("relay-0")
    story.passes(20)
    assert story.outcomes.so_far("d-1")["crossed_after_s"] is None
    story.ends("origin", "failed")
    story.ends("relay-0", "failed")
    story.passes(1)
    assert story.outcomes.so_far("d-1")["crossed_after_s"] == 21
    assert story.end().facts["peak_share"] is None, "there was nobody else"


# Drains.


def drained(viewers: int = 12) -> Story:
    story = Story()
    story.serves(viewers={"east": viewers})
    story.decide("drain", server="relay-1", rule="demand_below_setpoint")
    story.passes(5)
    return story


def test_a_drain_is_right_when_nothing_is_missed():
    story = drained()
    story.ends("relay-1")
    judged = story.end()
    assert judged.verdict == "needed"
    assert judged.text == "12 viewers moved in 5 s; none was missed within 10 min"


def test_a_drain_that_cuts_viewers_off_says_so():
    story = drained()
    story.ends("relay-1", viewers=4)
    assert "8 viewers moved in 5 s, 4 were cut off at the deadline" in story.end().text


def test_a_drain_is_false_when_a_relay_has_to_be_started_again():
    story = drained()
    story.ends("relay-1")
    story.passes(85)
    story.start(rule="operator_offset")
    story.start(region="west")
    assert story.passes(1) == []
    story.start()
    (judged,) = story.passes(1)
    assert judged.verdict == "false" and judged.facts["missed_after_s"] == 91


def test_a_drain_of_a_relay_that_fails_is_moot():
    story = drained()
    story.ends("relay-1", "failed")
    assert story.end().verdict == "moot"


# Budgets and caps.


@pytest.mark.parametrize(
    "limit",
    [
        {"action": "budget", "server": "origin", "region": "west", "budget_bps": 40 * MBPS},
        {"action": "rung_cap", "server": "origin", "channel": "demo", "rung": "240p"},
    ],
)
def test_a_limit_is_needed_when_servers_were_short(limit):
    story = Story()
    story.decide(**limit)
    story.passes(6)
    story.wanted["east"] = 100
    story.passes(20)
    story.wanted["east"] = 30
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("needed", 7.0)
    assert judged.text == "servers were over budget for 20 s from 08:00:07 UTC on"
    calm = Story(wanted={"east": 80.0})
    calm.decide(**limit)
    judged = calm.end()
    assert judged.verdict == "false" and "94% of what servers carry" in judged.text


def test_a_limit_is_late_when_servers_had_been_short_for_long():
    story = Story(wanted={"east": 100.0})
    story.passes(10)
    story.decide("budget", server="origin", region="west", budget_bps=40 * MBPS)
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("late", -10.0)
    at_once = Story(wanted={"east": 100.0})
    at_once.passes(3)
    at_once.decide("rung_cap", server="origin", channel="demo", rung="240p")
    assert (at_once.end().verdict, at_once.judged[0].lead_s) == ("needed", 0.0)


def test_the_budget_of_a_relay_is_judged_by_its_region():
    story = Story(wanted={"west": 100.0, "east": 10.0})
    story.serves()
    story.decide("budget", server="relay-1", budget_bps=40 * MBPS)
    assert story.end().verdict == "false"


def test_to_lift_a_limit_is_right_if_it_does_not_come_back():
    story = Story()
    story.decide("budget", server="origin", region="west", rule="relays_suffice")
    assert story.end().verdict == "needed"
    story = Story()
    story.decide("budget", server="origin", region="west", rule="relays_suffice")
    story.passes(10)
    story.decide("budget", server="origin", region="west", rule="relays_suffice")
    story.passes(10)
    story.decide("budget", server="relay-1", budget_bps=1.0)
    story.decide("budget", server="origin", region="west", budget_bps=40 * MBPS)
    judged = story.passes(1)[0]
    assert judged.verdict == "false" and "again after 20 s" in judged.text


# Shadow.


def test_in_shadow_a_start_is_judged_by_when_it_would_have_served():
    story = Story(shadow=True)
    story.start()
    story.passes(13)
    story.wanted["east"] = 100
    story.passes(14)
    story.wanted["east"] = 30
    judged = story.end()
    assert (judged.verdict, judged.lead_s) == ("needed", 4.0)
    assert judged.text == (
        "would have been needed at 08:00:14 UTC, when demand passed what the others carry; really "
        "servers were over budget for 14 s; 4.0 s ahead"
    )
    told = story.outcomes.shadow.told()
    assert (told["short_s"], told["covered_s"]) == (14, 14)
    assert (told["relays_asked"], told["relays_came"]) == (1, 0)
    assert told["decisions"] == {
        "start": {
            "needed": 1,
            "early": 0,
            "late": 0,
            "false": 0,
            "moot": 0,
            "unknown": 0,
            "open": 0,
        }
    }
    assert "started 1 relays, 0 really came; its starts: 1 needed" in told["text"]
    assert story.outcomes.counts == {("start", "needed", True): 1}


def test_in_shadow_what_is_decided_again_is_the_same():
    story = Story(shadow=True)
    story.start(count=2)
    story.passes(60)
    story.start(count=1)
    (again,) = story.passes(1)
    assert (again.verdict, again.text) == ("moot", "the same as d-1")
    story.start(count=3)
    story.passes(400)
    assert [judged.verdict for judged in story.judged] == ["moot", "false", "false"]
    assert story.outcomes.shadow.told()["decisions"]["start"]["moot"] == 0


def test_shadow_relays_carry_only_what_they_can_and_only_when_they_would_serve():
    story = Story(shadow=True, wanted={"east": 100.0})
    story.start()
    story.passes(20)
    assert story.outcomes.shadow.told()["covered_s"] == 11, "it would serve after 10 s"
    story.wanted["east"] = 300
    story.passes(20)
    assert story.outcomes.shadow.told()["covered_s"] == 11
    story.now_s += 0.5
    story.serves("relay-9", order="")
    story.passes(1)
    assert story.outcomes.shadow.told()["relays_came"] == 1, "somebody else started one"


@pytest.mark.parametrize(("calm_s", "covered_s"), [(600, 20), (640, 0)])
def test_a_shadow_relay_that_nobody_missed_for_ten_minutes_would_have_been_let_go(
    calm_s, covered_s
):
    story = Story(shadow=True)
    story.start()
    story.passes(int(LEAD_TIME_S) + calm_s - 20)
    story.wanted["east"] = 100
    story.passes(20)
    assert story.outcomes.shadow.told()["covered_s"] == covered_s


def test_in_shadow_a_drain_is_false_if_the_relay_would_have_been_missed():
    story = Story(shadow=True)
    story.serves()
    story.decide("drain", server="relay-1", rule="demand_below_setpoint")
    story.passes(30)
    story.wanted["east"] = 80
    (judged,) = story.passes(1)
    assert judged.verdict == "false" and "would have been missed after 31 s" in judged.text


def test_switched_on_again_the_comparison_begins_anew():
    story = Story(shadow=True, wanted={"east": 100.0})
    story.passes(5)
    story.shadow = False
    story.passes(5)
    told = story.outcomes.shadow.told()
    assert (told["on"], told["short_s"]) == (False, 5)
    story.shadow = True
    story.passes(2)
    told = story.outcomes.shadow.told()
    assert (told["on"], told["short_s"], told["since_utc"]) == (True, 2, UTC + 11)


# Bounds.


def test_no_more_are_followed_than_can_be():
    story = Story()
    for _ in range(300):
        story.start()
    judged = story.passes(1)
    assert len(judged) == 300 - 256 and judged[0].text == "too many decisions to follow"
    assert judged[0].record.id == "d-1"


def test_time_in_which_nobody_looked_counts_no_longer_than_some_seconds():
    story = Story(wanted={"east": 100.0}, shadow=True)
    story.passes(1)
    story.now_s += 1000
    story.passes(1)
    assert story.outcomes.shadow.told()["short_s"] == 1 + 5


def test_when_the_manager_ends_what_is_clear_is_judged_and_the_rest_is_unknown():
    story = Story()
    crossed = story.start()
    waits = story.start(inputs={"ahead_bps": 300 * MBPS})
    people = story.start(rule="relays_min")
    budget = story.decide("budget", server="origin", budget_bps=1e6)
    story.passes(3)
    story.serves(order=crossed.id)
    story.serves("relay-2", order=waits.id)
    verdicts = {j.record.id: j.verdict for j in story.outcomes.close(story.view)}
    assert verdicts == {
        crossed.id: "unknown",
        waits.id: "unknown",
        people.id: "moot",
        budget.id: "unknown",
    }
    assert story.outcomes.close(story.view) == [], "each is judged once"


def test_what_came_before_the_manager_ended_counts():
    story = Story()
    late, lifted = story.start(), story.decide("budget", server="origin", budget_bps=1e6)
    drained = story.decide("drain", server="relay-9")
    story.passes(4)
    story.wanted["east"] = 120.0
    story.passes(2)
    story.start()
    found = {j.record.id: j for j in story.outcomes.close(story.view)}
    assert found[late.id].verdict == "late" and found[lifted.id].verdict == "needed"
    assert found[drained.id].verdict == "false"
    assert story.outcomes.counts["start", "late", False] >= 1


def test_who_is_cut_off_says_when():
    story = Story()
    story.start()
    story.passes(7)
    (judged,) = story.outcomes.close(story.view)
    assert judged.text == "the manager ended 7 s later" and judged.facts["relays"] == 1
