"""Common Media Client Data as players really send it, and as nobody should (rule R55)."""

import pytest

from surgecast.delivery.adaptation.cmcd import Cmcd, of_body, of_headers, of_query, parse


def test_a_query_of_hls_js() -> None:
    query = "CMCD=bl%3D4200%2Cbr%3D1800%2Cd%3D2000%2Cmtp%3D179500%2Cot%3Dav%2Csid%3D%22s-1%22"
    assert of_query(f"x=1&{query}&y") == Cmcd("s-1", 179_500_000.0, 4.2)
    assert of_query("x=CMCD%3D1") is None and of_query("XCMCD=bs") is None


def test_the_four_headers_are_one_report() -> None:
    came = ("bl=900,dl=900,mtp=500,su", "br=1800,d=2000,ot=av", "bs,rtp=9000", 'sid="a,b\\"c"')
    assert of_headers(came) == Cmcd('a,b"c', 500_000.0, 0.9, starved=True)
    assert of_headers(()) is None


def test_the_second_version_has_inner_lists() -> None:
    assert parse("bl=(4200;v 900;a),mtp=(800 162600),v=2,bs=?1") == Cmcd(
        None, 162_600_000.0, 0.9, starved=True
    )


def test_posted_reports_are_a_line_each() -> None:
    body = b'e=rr,sid="s",bl=(100),ts=1\n\ne=ps,sta=p,sid="t"\n' + b"bs\n" * 100
    reports = of_body(body)
    assert [report.event for report in reports[:2]] == ["rr", "ps"]
    assert reports[0] == Cmcd("s", None, 0.1, event="rr") and len(reports) <= 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",,,=,=1,(",
        "bl=-5,mtp=1e9,bs=maybe",
        "bl=nan,mtp=inf,bs=?0",
        "bl=,mtp=(),sid=1" + "9" * 500,
        "x" * 10_000,
        "\x00\ud800".encode("utf-8", "replace").decode(),
        "bl=99999999999999999999",
    ],
)
def test_nonsense_says_nothing_and_breaks_nothing(text: str) -> None:
    report = parse(text)
    assert report.throughput_bps is None and report.buffer_s is None and not report.starved


def test_what_follows_nonsense_is_still_read() -> None:
    assert parse('a=(1,2),=3,b="x"y,bl=2000') == Cmcd(buffer_s=2.0)
    assert parse('sid="never closed,bl=2000') == Cmcd(buffer_s=2.0)


def test_the_first_of_equal_keys_counts() -> None:
    assert parse("bl=1000,bl=9000").buffer_s == 1.0
