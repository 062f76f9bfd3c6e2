"""Reports added up: viewers, joins, egress, by region and channel."""

import pytest

from tests.support.fleets import channel_report, origin_report, report_of
from traffic_manager.demand import Demand, DemandMeter
from traffic_manager.fleet import Fleet
from traffic_manager.settings import FleetSettings


def measured(*reports, wanted=None, meter=None, now_s=1.0) -> Demand:
    fleet = Fleet(FleetSettings())
    for report in reports:
        fleet.report(report, now_s)
    return (meter or DemandMeter()).measure(fleet, now_s, wanted or {})


def test_viewers_count_where_they_are_whatever_server_has_them():
    demand = measured(
        origin_report(region="west", viewers={"west": 10, "east": 5}),
        report_of("relay-1", region="east", viewers={"east": 20}),
    )
    assert demand.of_region("east").viewers == 25
    assert demand.of_region("west").viewers == 10
    assert demand.of_channel("demo").viewers == demand.total().viewers == 35
    assert set(demand.by_region()) == {"east", "west"} and set(demand.by_channel()) == {"demo"}


def test_egress_is_shared_out_by_viewers_and_what_nobody_counts_stays_where_it_is_sent():
    channels = [
        channel_report("a", viewers={"east": 30, "west": 10}, egress_bps=40e6),
        channel_report("b", egress_bps=3e6),
    ]
    demand = measured(report_of(region="north", channels=channels))
    assert demand.of_region("east").egress_bps == 30e6
    assert demand.of_region("west").egress_bps == 10e6
    assert demand.of_region("north").egress_bps == 3e6


class Reporting:
    """One server that reports each second."""

    def __init__(self, role="relay") -> None:
        self.meter, self.fleet, self.role = DemandMeter(), Fleet(FleetSettings()), role
        self.now_s = 0.0

    def second(self, count=1, **values) -> Demand:
        for _ in range(count):
            self.now_s += 1
            channels = [channel_report(**values)]
            sent = values.get("egress_bps", 0.0)
            report = report_of(
                sequence=int(self.now_s), role=self.role, channels=channels, egress_bps=sent
            )
            self.fleet.report(report, self.now_s)
            demand = self.meter.measure(self.fleet, self.now_s, {})
        return demand


def test_what_goes_to_nobody_who_is_counted_is_wanted_too_after_a_while():
    server = Reporting()
    assert server.second(2, egress_bps=50e6).total().wanted_bps < 10e6
    assert server.second(60, egress_bps=50e6).total().wanted_bps == pytest.approx(50e6, rel=0.05)


def test_buffers_that_fill_at_a_join_are_no_demand():
    """Ten join each second and fetch four segments of 2 s at once."""
    server, viewers = Reporting(), 0
    for second in range(20):
        viewers += 10
        rate_bps = (viewers + 10 * 8) * 2.8e6
        demand = server.second(
            viewers={"east": viewers}, sessions_created=viewers, egress_bps=rate_bps
        )
        assert demand.total().wanted_bps == pytest.approx(viewers * 2.8e6), second


def test_what_relays_pull_is_no_demand():
    meter, fleet = DemandMeter(), Fleet(FleetSettings())
    for second in range(60):
        origin = origin_report(
            second, region="west", egress_bps=12e6, channels=[channel_report(egress_bps=12e6)]
        )
        fleet.report(origin, float(second))
        fleet.report(report_of("a", second, upstream_bps=6e6, channels=[]), float(second))
        fleet.report(report_of("b", second, upstream_bps=6e6, channels=[]), float(second))
        total = meter.measure(fleet, float(second), {}).total()
        assert total.wanted_bps == total.egress_bps == 0.0


def test_wanted_is_what_viewers_would_take_not_what_a_budget_lets_through():
    channels = [channel_report(viewers={"east": 100}, egress_bps=40e6)]
    assert measured(report_of(channels=channels)).of_region("east").wanted_bps == 280e6
    lower = measured(report_of(channels=channels), wanted={"demo": "240p"})
    assert lower.of_region("east").wanted_bps == pytest.approx(40e6)


def test_joins_are_new_sessions_between_two_reports_of_one_process():
    meter, fleet = DemandMeter(), Fleet(FleetSettings())

    def joins(sequence, created, at_s, boot="boot-1"):
        channels = [channel_report(viewers={"east": 1}, sessions_created=created)]
        fleet.report(report_of(sequence=sequence, boot=boot, channels=channels), at_s)
        meter.measure(fleet, at_s, {})
        return meter.measure(fleet, at_s + 0.5, {}).of_region("east").joins_per_s

    assert joins(0, 100, 0.0) == 0.0
    assert joins(1, 130, 2.0) == 15.0
    assert joins(2, 130, 4.0) == 0.0
    assert joins(0, 500, 6.0, "boot-2") == 0.0


def test_servers_that_are_gone_do_not_count():
    fleet = Fleet(FleetSettings())
    fleet.report(report_of(viewers={"east": 5}), 0.0)
    fleet.failed("relay-1", "silent", 1.0)
    assert DemandMeter().measure(fleet, 1.0, {}).total().viewers == 0


def test_channels_of_a_region_come_most_watched_first():
    channels = [channel_report(name, viewers={"east": n}) for name, n in (("a", 1), ("b", 9))]
    channels.append(channel_report("c", viewers={"west": 4}))
    assert measured(report_of(channels=channels)).channels_in("east") == ["b", "a"]


def test_a_million_sessions_are_no_dearer_than_a_thousand():
    """The number of additions depends on servers, channels and regions only."""

    def cells(viewers):
        reports = [report_of(f"r-{n}", viewers={"east": viewers}) for n in range(20)]
        demand = measured(*reports)
        return len(demand.cells), demand.total().viewers

    assert cells(50) == (1, 1000) and cells(50_000) == (1, 1_000_000)
