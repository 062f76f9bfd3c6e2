"""What of a report is believed: the reports of servers that err, lie or flood."""

import pytest

from surgecast.errors import RemoteError
from tests.support.fleets import channel_report, report_of
from traffic_manager.screening import FleetFull, Known, Screening, TooManyReports
from traffic_manager.settings import FleetSettings

UTC = 1.8e9
EVERYTHING = Known()


def screening(**values) -> Screening:
    return Screening(FleetSettings(report_every_s=1.0, **values))


def take(judge, report, now_s=0.0, known=EVERYTHING):
    judge.admit(report.server, now_s)
    return judge.screen(report, now_s, UTC, known)


def test_an_honest_report_is_taken_as_it_is():
    report = report_of(viewers={"east": 20})
    screened = take(screening(), report)
    assert screened.report == report and screened.findings == ()


def test_one_report_an_interval_is_never_refused_and_a_flood_is():
    judge = screening(reports_burst=5)
    for second in range(100):
        judge.admit("relay-1", float(second))
    for _ in range(4):
        judge.admit("relay-1", 99.0)
    with pytest.raises(TooManyReports) as refused:
        judge.admit("relay-1", 99.0)
    assert 0 < refused.value.retry_after_s <= 1
    judge.admit("relay-2", 99.0)
    judge.admit("relay-1", 99.5)
    assert judge.refused == 1


def test_the_table_is_bounded_and_the_silent_make_room():
    judge = screening(servers_max=2)
    judge.admit("a", 0.0)
    judge.admit("b", 0.0)
    with pytest.raises(FleetFull):
        judge.admit("c", 0.0)
    judge.forget(("a",), 400.0)
    judge.admit("c", 400.0)
    assert len(judge) == 2


def test_a_version_that_is_not_spoken_is_refused():
    with pytest.raises(RemoteError, match="version 2 is not spoken here; allowed: 1"):
        take(screening(), report_of(version=2))


@pytest.mark.parametrize("sequence", [4, 5])
def test_a_sequence_that_does_not_rise_is_old_news(sequence):
    judge = screening()
    take(judge, report_of(sequence=5))
    screened = take(judge, report_of(sequence=sequence), 1.0)
    assert screened.report is None and screened.findings[0].kind == "sequence"
    assert take(judge, report_of(sequence=6), 2.0).report is not None


def test_a_new_boot_begins_anew_and_the_former_is_heard_no_more():
    judge = screening()
    take(judge, report_of(sequence=5))
    assert take(judge, report_of(sequence=0, boot="boot-2"), 1.0).report is not None
    screened = take(judge, report_of(sequence=6, boot="boot-1"), 2.0)
    assert screened.report is None and screened.findings[0].kind == "boot"


def test_egress_beyond_capacity_is_cut_with_that_of_the_channels():
    channels = [channel_report("a", egress_bps=600e6), channel_report("b", egress_bps=400e6)]
    report = report_of(capacity_bps=100e6, egress_bps=1000e6, channels=channels)
    screened = take(screening(capacity_slack=1.25), report)
    assert screened.report.egress_bps == 125e6
    assert [c.egress_bps for c in screened.report.channels] == [75e6, 50e6]
    assert {finding.kind for finding in screened.findings} == {"rate"}


def test_a_server_that_knows_no_capacity_is_not_cut():
    report = report_of(capacity_bps=0.0, egress_bps=1e9, viewers={"east": 40_000})
    assert take(screening(), report).findings == ()


def test_a_budget_above_capacity_is_none():
    screened = take(screening(), report_of(capacity_bps=1e6, egress_bps=0.0, budget_bps=9e9))
    assert screened.report.budget_bps == 1e6


def test_viewers_rise_no_faster_than_a_crowd_can():
    judge = screening(viewers_rise_max_per_s=100)
    assert take(judge, report_of(sequence=0, viewers={"east": 400})).findings == ()
    screened = take(judge, report_of(sequence=1, viewers={"east": 700, "west": 700}), 2.0)
    assert screened.report.channels[0].viewers == {"east": 300, "west": 300}
    assert screened.findings[0].kind == "viewers"
    assert take(judge, report_of(sequence=2, viewers={"east": 0}), 3.0).findings == ()


def test_more_viewers_than_the_lowest_rung_lets_through_are_no_viewers():
    """400 kbit/s at least each, 4 Mbit/s: ten at once, and four times that with those who left."""
    report = report_of(capacity_bps=4e6, egress_bps=3e6, viewers={"east": 4000})
    assert take(screening(), report).report.channels[0].viewers == {"east": 40}


def test_channels_and_regions_nobody_knows():
    channels = [channel_report("demo", viewers={"east": 3, "moon": 4}), channel_report("ghost")]
    known = Known(channels={"demo"}, regions={"east", "west"})
    screened = take(screening(), report_of(region="west", channels=channels), known=known)
    (channel,) = screened.report.channels
    assert channel.channel == "demo" and channel.viewers == {"east": 3, "west": 4}
    assert {finding.kind for finding in screened.findings} == {"channel", "region"}


@pytest.mark.parametrize("skew_s", [-30.0, 30.0])
def test_a_clock_that_is_off_is_told_and_changes_nothing(skew_s):
    report = report_of(sent_at_utc=UTC + skew_s)
    screened = take(screening(), report)
    assert screened.report == report and screened.skew_s == skew_s
    assert [finding.kind for finding in screened.findings] == ["clock"]


def test_what_was_not_believed_is_counted():
    judge = screening()
    take(judge, report_of(sequence=5))
    take(judge, report_of(sequence=5), 1.0)
    take(judge, report_of(sequence=5), 2.0)
    assert judge.counts["sequence"] == 2
