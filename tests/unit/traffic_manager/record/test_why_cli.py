"""`surgecast why` from end to end: reports -> decision -> verdict -> API -> what is printed."""

import asyncio
import json

import pytest

from surgecast.cli import main
from tests.support.fleets import origin_report, report_of
from tests.support.managers import YAML, RunningManager, running_manager
from traffic_manager.record.why_cli import TOKEN_VARIABLE, problem

HISTORY = YAML.replace("url: null", "url: 'sqlite:///{folder}/history.db'").replace(
    "kind: reactive", "kind: damped_drift"
)


async def why(capsys, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    status = await asyncio.to_thread(main, ["why", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


class Evening:
    """An audience in the east, second by second."""

    def __init__(self, manager: RunningManager) -> None:
        self.manager = manager
        self.second = 0
        self.relays: list[str] = []

    def passes(self, seconds: int, viewers: int) -> None:
        core, clock = self.manager.app.manager, self.manager.clock
        for _ in range(seconds):
            self.second += 1
            clock.advance(1.0)
            reports = [origin_report(self.second, region="west", viewers={"east": viewers})]
            reports += [report_of(name, self.second) for name in self.relays]
            for report in reports:
                sent = report.model_copy(update={"sent_at_utc": clock.utc()})
                core.report(sent, clock.now(), clock.utc())
            self.manager.app.tick()


async def watched(manager: RunningManager) -> str:
    """A crowd comes, a relay is started, serves in time and is needed; the decision's id."""
    evening = Evening(manager)
    evening.passes(10, 20)
    evening.passes(3, 55)
    await manager.until(lambda: bool(manager.provisioner.instances))
    evening.relays = list(manager.provisioner.instances)
    evening.passes(5, 55)
    evening.passes(330, 70)
    starts = [d for d in manager.app.manager.logbook.decisions() if d.action == "start"]
    return starts[0].id


async def test_a_decision_is_told_from_reports_to_the_verdict(tmp_path, capsys):
    async with running_manager(tmp_path, HISTORY) as manager:
        number = await watched(manager)
        status, answer = await manager.ask("GET", f"/api/v1/decisions/{number}")
        assert status == 200 and answer["remembered"] and answer["so_far"] is None
        assert answer["verdict"] == "needed" and answer["lead_s"] > 0
        assert answer["facts"]["peak_bps"] == 98_000_000
        assert answer["quantiles"]["explanation"]["kind"] == "damped_drift"
        status, out, _ = await why(capsys, number, "--manager", manager.url)
        assert status == 0 and "started 1 relay in east   ✔ needed" in out
        assert "when demand passed what the others carry" in " ".join(out.split())
        assert f"{manager.provisioner.orders[0].server}: serves after" in out
        status, out, _ = await why(capsys, number, "--json", "--manager", manager.url)
        assert json.loads(out) == answer
        async with manager.http.get(f"{manager.url}/metrics") as shown:
            text = await shown.text()
        labels = 'action="start",shadow="false",verdict="needed"'
        assert f"surgecast_manager_verdicts_total{{{labels}}} 1.0" in text
        assert 'surgecast_forecast_mase_ratio{region="east"}' in text
        status, out, _ = await why(capsys, "--last", "5", "--manager", manager.url)
        assert status == 0 and number in out and "✔" in out

    database = f"sqlite:///{tmp_path}/state/history.db"
    status, out, _ = await why(capsys, number, "--history", database)
    assert status == 0 and "started 1 relay in east   ✔ needed" in out
    status, out, _ = await why(capsys, "--history", database)
    assert status == 0 and number in out
    status, _, err = await why(capsys, "x-1", "--history", database)
    assert status == 1 and "no decision x-1 in the history" in err

    async with running_manager(tmp_path, HISTORY) as manager:
        status, old = await manager.ask("GET", f"/api/v1/decisions/{number}")
        assert status == 200 and old == answer | {"remembered": False}
        status, _, err = await why(capsys, "x-1", "--manager", manager.url)
        assert status == 1 and "unknown id x-1; allowed: nothing was decided yet" in err


async def test_a_decision_that_is_still_followed_says_what_is_known_so_far(tmp_path, capsys):
    async with running_manager(tmp_path) as manager:
        status, out, _ = await why(capsys, "--manager", manager.url)
        assert (status, out) == (0, "nothing was decided yet\n")
        Evening(manager).passes(4, 72)
        (decision, *_) = manager.app.manager.logbook.decisions()
        _, answer = await manager.ask("GET", f"/api/v1/decisions/{decision.id}")
        assert answer["verdict"] is None and answer["so_far"]["peak_bps"] > 100e6
        _, out, _ = await why(capsys, decision.id, "--manager", manager.url)
        assert "still followed" in out and "… not judged" in out


async def test_shadow_is_compared_with_what_happened(tmp_path):
    async with running_manager(tmp_path) as manager:
        _, answer = await manager.ask("GET", "/api/v1/shadow")
        assert not answer["on"] and answer["text"].startswith("never in shadow")
        await manager.report(origin_report(region="west"))
        await manager.ask("PUT", "/api/v1/shadow", {"shadow": True})
        Evening(manager).passes(30, 72)
        _, answer = await manager.ask("GET", "/api/v1/shadow")
        assert answer["on"] and answer["relays_asked"] == 1 and answer["relays_came"] == 0
        assert answer["short_s"] > 20 and 0 < answer["covered_s"] < answer["short_s"]
        assert answer["decisions"]["start"]["open"] == 1
        assert manager.provisioner.orders == []


async def test_without_the_token_it_says_how_to_give_it(tmp_path, capsys, monkeypatch):
    async with running_manager(tmp_path, YAML + "api: {{token: operator-1}}\n") as manager:
        status, _, err = await why(capsys, "--manager", manager.url)
        assert status == 1 and "--token" in err and TOKEN_VARIABLE in err
        status, _, _ = await why(capsys, "--manager", manager.url, "--token", "operator-1")
        assert status == 0
        monkeypatch.setenv(TOKEN_VARIABLE, "operator-1")
        assert (await why(capsys, "--manager", manager.url))[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x", "--manager", "http://127.0.0.1:1"], "no manager answers at http://127.0.0.1:1"),
        (["x", "--manager", "ftp://a"], "expected an http or https URL"),
        (["x", "--last"], "not both"),
        (["--last", "0"], "allowed: 1 to 1000"),
        (["--history", "sesame@none"], "expected sqlite:///PATH"),
        (["--history", "sqlite:////nowhere/x.db"], "there is no file /nowhere/x.db"),
    ],
)
async def test_what_cannot_be_asked_is_told_in_a_sentence(words, told, capsys):
    status, out, err = await why(capsys, *words)
    assert status == 1 and told in err and not out and "sesame" not in err


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            404,
            b'{"error": "unknown id", "value": "x", "allowed": "a-1"}',
            "unknown id x; allowed: a-1",
        ),
        (400, b'{"type": "about:blank", "title": "Bad", "detail": "no such"}', "Bad; no such"),
        (502, b"<html>", "the manager answered 502"),
        (500, b"[]", "the manager answered 500"),
        (401, b'{"error": "not allowed"}', "give the operators' token"),
    ],
)
def test_errors_of_the_api_become_sentences(status, body, told):
    assert told in problem(status, body)
