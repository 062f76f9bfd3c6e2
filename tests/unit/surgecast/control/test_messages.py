"""Messages between server and manager: what is taken, and what is refused."""

import json

import pytest
from pydantic import ValidationError

from surgecast.control.messages import ChannelReport, Directive, ServerReport

REPORT = ServerReport(
    server="relay-1",
    role="relay",
    url="http://10.0.0.1:8100",
    region="eu",
    boot="b1",
    sequence=0,
    sent_at_utc=1.8e9,
    uptime_s=3.0,
    state="serving",
    capacity_bps=1e9,
    budget_bps=8e8,
    egress_bps=1e6,
    channels=[ChannelReport(channel="demo", ready=True, viewers={"eu": 3})],
)


def test_a_report_comes_back_as_it_was_sent():
    assert ServerReport.model_validate_json(REPORT.model_dump_json()) == REPORT


def test_a_directive_comes_back_as_it_was_sent():
    directive = Directive(id="d1", ttl_s=10.0, report_every_s=2.0, rung_caps={"demo": "480p"})
    assert Directive.model_validate_json(directive.model_dump_json()) == directive


def test_what_a_newer_server_adds_is_ignored():
    values = {**json.loads(REPORT.model_dump_json()), "colour": "blue"}
    assert ServerReport.model_validate_json(json.dumps(values)) == REPORT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("server", "a b"),
        ("url", "ftp://x"),
        ("url", "http://x/"),
        ("egress_bps", -1.0),
        ("egress_bps", "much"),
        ("sequence", -1),
        ("state", "happy"),
        ("channels", [{"channel": "demo", "ready": True, "viewers": {"eu": -3}}]),
    ],
)
def test_a_report_that_cannot_be_true_is_refused(field, value):
    values = {**json.loads(REPORT.model_dump_json()), field: value}
    with pytest.raises(ValidationError):
        ServerReport.model_validate_json(json.dumps(values))
