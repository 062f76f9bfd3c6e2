"""A right stream has no findings; each planted violation is found by its rule."""

from collections import Counter
from dataclasses import replace

import pytest

from player.checking.report import CheckReport
from surgecast.hls.observation import Severity
from surgecast.hls.rulebook import RULES, Look
from tests.support import planted_ll, planted_steering, planted_ts
from tests.support.ll_show import LlShow
from tests.support.planted_steering import SteeredShow
from tests.support.show_asker import checked
from tests.support.show_model import Asked, Fault, Later, Reply, Show
from tests.support.ts_show import TsShow


@pytest.mark.parametrize(
    ("show", "seconds"), [(TsShow(), 30.0), (LlShow(), 30.0), (SteeredShow(), 30.0)]
)
async def test_a_right_stream(show: Show, seconds: float) -> None:
    """Restarts of the encoder and a session that switches are in it."""
    report = await checked(show, seconds)
    assert report.findings == () and report.of(Severity.WARNING) == ()
    assert report.looks[Look.DISCONTINUITY] >= 2
    assert report.looks[Look.REMOVED] >= 1


@pytest.mark.parametrize("fault", planted_ts.PLANTED, ids=lambda fault: fault.name)
async def test_a_planted_violation(fault: Fault) -> None:
    _assert_found(fault, await checked(TsShow(fault), 26.0))


@pytest.mark.parametrize("fault", planted_ll.PLANTED, ids=lambda fault: fault.name)
async def test_a_planted_violation_of_low_latency(fault: Fault) -> None:
    _assert_found(fault, await checked(LlShow(fault), 16.0))


@pytest.mark.parametrize("fault", planted_steering.PLANTED, ids=lambda fault: fault.name)
async def test_a_planted_violation_of_steering(fault: Fault) -> None:
    _assert_found(fault, await checked(SteeredShow(fault), 8.0, beside=False))


@pytest.mark.parametrize("fault", planted_steering.TWINS, ids=lambda fault: fault.name)
async def test_a_planted_difference_of_two_origins(fault: Fault) -> None:
    _assert_found(fault, await checked(TsShow(), 4.0, twin=TsShow(fault), beside=False))


def _assert_found(fault: Fault, report: CheckReport) -> None:
    """By its rule, and no other rule cries that the fault does not break as well."""
    found = {finding.rule for finding in report.findings}
    assert fault.rule in found
    assert found == {fault.rule} | fault.implied, [str(one) for one in report.findings]


async def test_two_right_origins() -> None:
    """R57."""
    report = await checked(TsShow(), 4.0, twin=TsShow(), beside=False)
    assert report.findings == () and report.looks[Look.TWIN] >= 3


ALL = (
    *planted_ts.PLANTED,
    *planted_ll.PLANTED,
    *planted_steering.PLANTED,
    *planted_steering.TWINS,
)
ADVICE = {"R48", "R50"}
"""Never violations: a note and a warning, each with a test of its own."""


def test_every_rule_can_fail() -> None:
    """Each rule that is visible from outside has a violation planted for it."""
    visible = {number for number, rule in RULES.items() if rule.evidence}
    assert {fault.rule for fault in ALL} == visible - ADVICE


async def test_advice_is_no_violation() -> None:
    """R48 and R50: a stream without TLS, and a round trip longer than a part."""

    def slow(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
        first = isinstance(answer, Reply) and asked.method == "HEAD" and now % 0.9 < 0.6
        return Later(now + 0.6) if first else answer

    report = await checked(LlShow(Fault(reply=slow)), 6.0)
    assert report.clean
    assert {finding.rule for finding in report.of(Severity.NOTE)} == {"R48"}
    warned = report.of(Severity.WARNING)
    assert {finding.rule for finding in warned} == {"R50"}
    assert (
        warned[0].line is not None and warned[0].line.text == "#EXT-X-PART-INF:PART-TARGET=0.40000"
    )


async def test_a_peak_that_rises_between_two_playlists_is_no_fault() -> None:
    """R27: the ladder said less when it was asked for, just before the adaptive playlist."""
    asked_for = Counter[str]()

    def rising(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
        asked_for[asked.path] += asked.method == "GET"
        if asked.path != "index.m3u8" or asked_for[asked.path] > 1:
            return answer
        assert isinstance(answer, Reply)
        return replace(answer, body=answer.body.replace(b"BANDWIDTH=400000", b"BANDWIDTH=399000"))

    report = await checked(TsShow(Fault(reply=rising)), 4.0)
    assert report.findings == () and report.looks[Look.SESSION] >= 3


@pytest.mark.parametrize(("name", "rule"), [("adaptive.m3u8", "R27"), ("ll.m3u8", "R24")])
async def test_what_is_beside_and_no_playlist(name: str, rule: str) -> None:
    """It is a finding, and the rest is checked all the same."""

    def page(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
        return Reply(200, {}, b"<html>") if asked.path == name else answer

    report = await checked(TsShow(Fault(reply=page)), 4.0)
    assert {(one.rule, one.where.rpartition("/")[2]) for one in report.findings} == {(rule, name)}
    assert report.looks[Look.MEDIA] >= 6
