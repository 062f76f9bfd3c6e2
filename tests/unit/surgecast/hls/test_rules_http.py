"""Each rule of HTTP finds its own planted violation, and right answers have none."""

from dataclasses import replace

import pytest

from surgecast.hls import rules_http as http
from surgecast.hls.observation import Finding, Kind, Response
from tests.support.transport_stream import segment

TD = 2
CORS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "CMSD-Static, CMSD-Dynamic, Age, Date, Content-Length",
}
PLAYLIST = {
    **CORS,
    "content-type": "application/vnd.apple.mpegurl",
    "content-encoding": "gzip",
    "vary": "Accept-Encoding",
    "cache-control": "max-age=1",
    "date": "Thu, 01 Jan 2026 00:01:00 GMT",
}
BODY = segment()
SEGMENT = {
    **CORS,
    "content-type": "video/mp2t",
    "content-length": str(len(BODY)),
    "cache-control": "public, max-age=30, immutable",
}
MEDIA = Response("u", Kind.MEDIA, 200, PLAYLIST, b"#EXTM3U", 0.0)
PRIVATE = {**PLAYLIST, "cache-control": "private, no-store"}
SESSION = Response("u", Kind.SESSION, 200, PRIVATE, b"#EXTM3U", 0.0)
TS = Response("u", Kind.SEGMENT, 200, SEGMENT, BODY, 0.0)


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def with_header(response: Response, name: str, value: str | None) -> Response:
    headers = {key: text for key, text in response.headers.items() if key != name}
    return replace(response, headers=headers if value is None else {**headers, name: value})


@pytest.mark.parametrize("response", [MEDIA, SESSION, TS])
def test_right_answers(response: Response) -> None:
    assert http.check_response(response, TD) == []


@pytest.mark.parametrize(
    ("rule", "response"),
    [
        ("R3", replace(SESSION, status=302)),
        ("R24", replace(TS, status=404)),
        ("R24", replace(TS, body=BODY[:-188])),
        ("R24", replace(TS, complete=False)),
        ("R24", with_header(replace(TS, body=BODY[:-10]), "content-length", str(len(BODY) - 10))),
        ("R24", with_header(TS, "content-length", None)),
        ("R28", with_header(MEDIA, "content-type", "text/plain")),
        ("R28", with_header(TS, "content-type", "application/octet-stream")),
        ("R29", with_header(MEDIA, "content-encoding", None)),
        ("R29", with_header(MEDIA, "vary", None)),
        ("R29", with_header(TS, "content-encoding", "gzip")),
        ("R30", with_header(MEDIA, "cache-control", "max-age=60")),
        ("R30", with_header(MEDIA, "cache-control", None)),
        ("R30", with_header(SESSION, "cache-control", "max-age=1")),
        ("R30", with_header(TS, "cache-control", "public, max-age=30")),
        ("R32", with_header(MEDIA, "last-modified", "Thu, 01 Jan 2026 00:00:50 GMT")),
        ("R33", with_header(TS, "access-control-allow-origin", None)),
        ("R33", with_header(MEDIA, "access-control-expose-headers", "Date")),
        ("R33", with_header(replace(TS, status=404), "access-control-allow-origin", None)),
    ],
)
def test_wrong_answers(rule: str, response: Response) -> None:
    assert rule in rules(http.check_response(response, TD))


def test_a_fresh_last_modified_is_fine() -> None:
    """R32."""
    fresh = with_header(MEDIA, "last-modified", "Thu, 01 Jan 2026 00:00:58 GMT")
    assert http.check_response(fresh, TD) == []


def test_no_gzip_where_none_was_accepted() -> None:
    """R29."""
    assert rules(http.check_plain(MEDIA)) == {"R29"}
    assert http.check_plain(with_header(MEDIA, "content-encoding", None)) == []


def test_head_says_what_get_says() -> None:
    """R24."""
    head = replace(TS, method="HEAD", body=b"")
    assert http.check_head(head, TS) == []
    assert rules(http.check_head(replace(head, status=405), TS)) == {"R24"}
    assert rules(http.check_head(with_header(head, "content-length", "0"), TS)) == {"R24"}
    assert rules(http.check_head(TS, TS)) == {"R24"}


ALLOWED = "Range, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session"
OPTIONS = Response(
    "u", Kind.MEDIA, 204, {**CORS, "access-control-allow-headers": ALLOWED}, b"", 0.0, "OPTIONS"
)


@pytest.mark.parametrize(
    "response",
    [
        replace(OPTIONS, status=405),
        with_header(OPTIONS, "access-control-allow-origin", None),
        with_header(OPTIONS, "access-control-allow-headers", "Range"),
    ],
)
def test_preflight(response: Response) -> None:
    """R33."""
    assert http.check_options(OPTIONS) == []
    assert rules(http.check_options(response)) == {"R33"}


def test_ranges() -> None:
    """R34."""
    headers = {**SEGMENT, "content-range": f"bytes 188-563/{len(BODY)}"}
    good = replace(TS, status=206, headers=headers, body=BODY[188:564])
    assert http.check_range(good, BODY, 188, 563) == []
    assert rules(http.check_range(TS, BODY, 188, 563)) == {"R34"}
    assert rules(http.check_range(replace(good, body=BODY[:376]), BODY, 188, 563)) == {"R34"}
    assert rules(http.check_range(with_header(good, "content-range", ""), BODY, 188, 563)) == {
        "R34"
    }


def test_ranges_beyond_the_end() -> None:
    """R34."""
    good = replace(with_header(TS, "content-range", f"bytes */{len(BODY)}"), status=416)
    assert http.check_range_beyond(good, len(BODY)) == []
    assert rules(http.check_range_beyond(TS, len(BODY))) == {"R34"}
    assert rules(http.check_range_beyond(with_header(good, "content-range", None), 9)) == {"R34"}


def test_what_is_not_there_yet() -> None:
    """R31, and R33 on the 404."""
    absent = replace(with_header(TS, "cache-control", "no-store"), status=404, body=b"")
    assert http.check_future(absent, TD) == []
    assert http.check_future(with_header(absent, "cache-control", "max-age=1"), TD) == []
    assert rules(http.check_future(replace(absent, status=200), TD)) == {"R31"}
    assert rules(http.check_future(with_header(absent, "cache-control", None), TD)) == {"R31"}
    silent = with_header(absent, "access-control-allow-origin", None)
    assert rules(http.check_future(silent, TD)) == {"R33"}


def test_what_left_the_playlist_is_still_there() -> None:
    """R23."""
    assert http.check_removed(TS, 3.0) == []
    assert rules(http.check_removed(replace(TS, status=404), 3.0)) == {"R23"}
