"""The autoscaler does what Kubernetes does; the oracle says what is true."""

from collections.abc import Sequence

import pytest

from simulation.policies import Autoscaler, Oracle
from tests.support.fleets import channel_report, origin_report, report_of
from traffic_manager.demand import Demand, Load
from traffic_manager.fleet import Fleet
from traffic_manager.policy.view import View
from traffic_manager.settings import FleetSettings, PolicySettings

MBPS = 1_000_000
"""Servers of these tests have a budget of 85 Mbit/s each."""


class Region:
    """One with an origin elsewhere: only its relays count."""

    def __init__(self, *relays: str, limits: int = 16) -> None:
        self.fleet = Fleet(FleetSettings())
        self.policy = Autoscaler(
            PolicySettings(
                capacity_default_bps=100 * MBPS,
                relays_max=limits,
                limits={"relays_max": limits},  # type: ignore[arg-type]
            )
        )
        self.fleet.report(origin_report(region="west"), 0.0)
        for relay in relays:
            self.fleet.request(relay, "east", 0.0, order="d")
            self.fleet.report(report_of(relay, channels=[channel_report()]), 0.0)

    def looks(self, mbps: float, now_s: float) -> tuple[int, Sequence[str]]:
        """Relays started and drained, when so much is sent."""
        demand = Demand(now_s, {("east", "demo"): Load(100, 0.0, mbps * MBPS, mbps * MBPS)})
        plan = self.policy.decide(View(now_s, list(self.fleet), demand))
        drained = [d.server for d in plan.decisions if d.action == "drain"]
        return sum(d.count for d in plan.decisions if d.action == "start"), drained


@pytest.mark.parametrize(
    ("mbps", "started"),
    [
        (119.0, 0),  # two relays at the target of 70 %
        (130.0, 0),  # within the tolerance of 10 %
        (135.0, 1),  # ceil(2 * 135 / 119) = 3
        (300.0, 4),  # 6 replicas
        (1000.0, 4),  # no more than four, or twice as many, at a time
    ],
)
def test_replicas_follow_utilisation(mbps: float, started: int) -> None:
    assert Region("r1", "r2").looks(mbps, 0.0) == (started, [])


def test_it_looks_every_fifteen_seconds() -> None:
    region = Region("r1", "r2")
    assert region.looks(119.0, 0.0) == (0, [])
    assert region.looks(300.0, 14.0) == (0, [])
    assert region.looks(300.0, 15.0) == (4, [])


def test_relays_that_are_not_ready_count_as_idle() -> None:
    region = Region("r1", "r2")
    for relay in ("r3", "r4", "r5", "r6"):
        region.fleet.request(relay, "east", 0.0, order="d")
    assert region.looks(300.0, 0.0) == (0, [])


def test_it_goes_down_when_five_minutes_have_wanted_less() -> None:
    region = Region("r1", "r2", "r3")
    assert region.looks(178.0, 0.0) == (0, [])
    for now_s in range(15, 300, 15):
        assert region.looks(50.0, float(now_s)) == (0, [])
    assert len(region.looks(50.0, 300.0)[1]) == 2


def test_the_first_relay_of_a_region_comes_with_its_first_viewers() -> None:
    assert Region().looks(0.0, 0.0) == (0, [])
    assert Region().looks(1.0, 0.0) == (1, [])


def test_limits_hold() -> None:
    assert Region("r1", "r2", limits=3).looks(1000.0, 0.0) == (1, [])


def test_the_oracle_tells_the_highest_demand_there_will_be() -> None:
    oracle = Oracle(lambda region, at_s: 100.0 - abs(at_s - 30.0), ["north"])
    assert oracle.ahead(20.0, 0.0).upper_bps == {"north": 90.0}
    assert oracle.ahead(60.0, 0.0).upper_bps == {"north": 100.0}
