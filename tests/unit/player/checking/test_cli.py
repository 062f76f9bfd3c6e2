"""The command `surgecast check`: what it prints, and what its exit status says."""

import argparse
import json

import pytest

from player.checking import cli as check_cli
from player.checking.report import SHOWN_MAX, CheckReport
from surgecast.errors import RemoteError
from surgecast.hls.observation import Finding, Severity
from surgecast.hls.rulebook import RULES, Look
from surgecast.hls.tags import Line

URL = "http://origin.test/live/demo/index.m3u8"
ERROR = Finding("R9", f"{URL}/7-26.ts", "time stamps jump by [+1.000] s")
LISTED = Finding("R7", URL, "EXTINF 9 over TARGETDURATION 2", Line(12, "#EXTINF:9,"))
NOTE = Finding("R48", URL, "plain HTTP", severity=Severity.NOTE)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    check_cli.configure(parser)
    return parser.parse_args(words)


def ran(
    monkeypatch: pytest.MonkeyPatch, outcome: CheckReport | BaseException, *words: str
) -> tuple[int, dict[str, object]]:
    """The exit status, and what the check was asked."""
    asked: dict[str, object] = {}

    async def check(url: str, seconds: float, *, twin_url: str | None) -> CheckReport:
        asked.update(url=url, seconds=seconds, twin_url=twin_url)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(check_cli, "check_stream", check)
    return check_cli.run(arguments(*words)), asked


def report(*findings: Finding) -> CheckReport:
    return CheckReport(URL, 7.0004, dict.fromkeys(findings, 2), {Look.SEQUEL.value: 5})


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (report(), 0),
        (report(NOTE), 0),
        (report(NOTE, ERROR), 1),
        (RemoteError(f"{URL}: the server answers HTTP 404"), 2),
        (KeyboardInterrupt(), 2),
    ],
)
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch, outcome: CheckReport | BaseException, status: int
) -> None:
    """0 without violations, 1 with, 2 where nothing can be said."""
    assert ran(monkeypatch, outcome, URL) == (
        status,
        {"url": URL, "seconds": 60.0, "twin_url": None},
    )


@pytest.mark.parametrize("words", [["origin.test/index.m3u8"], [URL, "--twin", "ftp://b/x"]])
def test_what_is_no_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert ran(monkeypatch, report(), *words) == (2, {})
    assert "expected an http or https URL" in capsys.readouterr().err


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One object, with the fields that the documentation names."""
    assert ran(monkeypatch, report(ERROR, LISTED, NOTE), URL, "--seconds", "7", "--json")[0] == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["url"], found["seconds"]) == (URL, 7.0)
    assert (found["violations"], found["warnings"], found["notes"]) == (2, 0, 1)
    assert found["findings"][1] == {
        "rule": "R7",
        "severity": "error",
        "url": URL,
        "line": {"number": 12, "text": "#EXTINF:9,"},
        "what": LISTED.what,
        "times": 2,
    }
    assert found["findings"][0]["line"] is None
    assert list(found["rules"]) == list(RULES)
    assert found["rules"]["R9"] == {"seen": 5, "violations": 1}
    assert found["not_seen"]["R36"] == "no directives that must be refused"
    assert found["looks"] == {"segments after another": 5}


def test_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings with their lines, how often each rule was seen, and why some were not."""
    monkeypatch.setenv("COLUMNS", "200")
    many = [Finding("R1", URL, f"segment {msn} changed") for msn in range(SHOWN_MAX + 3)]
    ran(monkeypatch, report(ERROR, LISTED, NOTE, *many), URL)
    text = capsys.readouterr().out
    assert "10 violations, 0 warnings in 7 s" in text
    assert "line 12: #EXTINF:9," in text and "[+1.000]" in text
    assert "and 3 more" in text
    assert "R9 5 x" in text and "no directives that must be refused" in text
