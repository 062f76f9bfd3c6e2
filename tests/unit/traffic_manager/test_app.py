"""The manager as a process: its API over HTTP, its hands, reload and restart."""

import asyncio
import json

import pytest

from surgecast.control.messages import Directive
from surgecast.errors import ConfigError
from tests.support.fleets import origin_report, report_of
from tests.support.managers import WAIT_S, YAML, RunningManager, running_manager
from traffic_manager.api.routes import OPERATIONS

CROWD = {"east": 72}
"""100 Mbit/s at 480p; the origin's setpoint is 59.5."""
TOKENS = "api: {{token: operator-1, server_token: server-one}}\n"
OPERATOR = {"Authorization": "Bearer operator-1"}
SERVER = {"Authorization": "Bearer server-one"}


@pytest.fixture
async def manager(tmp_path):
    async with running_manager(tmp_path) as running:
        yield running


async def crowd(manager: RunningManager, seconds: int = 3) -> None:
    """An origin with many viewers reports for some seconds."""
    for second in range(seconds):
        manager.clock.advance(1.0)
        report = origin_report(second, region="west", viewers=CROWD)
        assert (await manager.report(report))[0] == 200
        manager.app.tick()


async def test_a_report_is_answered_with_a_directive(manager):
    status, answer = await manager.report(origin_report(region="west"))
    directive = Directive.model_validate(answer)
    assert status == 200 and directive.ttl_s == 10.0 and directive.report_every_s == 1.0
    manager.app.tick()
    _, answer = await manager.report(report_of())
    assert [peer["server"] for peer in answer["peers"]] == ["origin"]
    assert answer["steering_url"] == f"{manager.url}/steer"


async def test_a_crowd_starts_a_relay_and_the_api_tells_why(manager):
    await crowd(manager)
    await manager.until(lambda: bool(manager.provisioner.instances))
    (order,) = manager.provisioner.orders
    assert order.region == "east" and order.upstreams == ("http://origin.example:8100",)
    await manager.report(report_of(order.server, 1, viewers={"east": 3}))
    _, answer = await manager.ask("GET", "/api/v1/servers")
    servers = {s["server"]: s for s in answer["servers"]}
    assert servers[order.server]["state"] == "serving" and servers[order.server]["ordered"]
    assert servers["origin"]["viewers"] == 72
    _, answer = await manager.ask("GET", "/api/v1/decisions")
    decision = next(d for d in answer["decisions"] if d["action"] == "start")
    assert decision["rule"] == "demand_above_setpoint" and decision["count"] == 1
    assert servers[order.server]["decision"] == decision["id"]
    assert "serves after" in decision["outcome"]
    _, answer = await manager.ask("GET", f"/api/v1/decisions?after={decision['id']}&limit=5")
    assert decision["id"] not in [d["id"] for d in answer["decisions"]]
    _, status = await manager.ask("GET", "/api/v1/status")
    assert status["decision_to_serving_median_s"] is not None and status["relays_measured"] == 1


async def test_regions_channels_and_forecasts_are_told(manager):
    await crowd(manager)
    _, answer = await manager.ask("GET", "/api/v1/regions")
    east = next(r for r in answer["regions"] if r["region"] == "east")
    assert (east["viewers"], east["wanted_bps"], east["relays_coming"]) == (72, 100_800_000, 1)
    _, answer = await manager.ask("GET", "/api/v1/channels")
    (channel,) = answer["channels"]
    assert channel["ladder"] == ["720p", "480p", "240p"] and channel["ready"]
    status, answer = await manager.ask("GET", "/api/v1/forecasts")
    assert status == 200 and answer["kind"] == "reactive" and answer["lead_time_s"] > 0


async def test_a_start_that_fails_is_told_and_the_process_goes_on(manager):
    manager.provisioner.fails = "no port is free"
    await crowd(manager)
    await manager.until(lambda: any(s.state == "failed" for s in manager.app.manager.fleet))
    _, answer = await manager.ask("GET", "/api/v1/servers")
    assert any("no port is free" in s["reason"] for s in answer["servers"])


async def test_viewers_join_and_are_steered(manager):
    await crowd(manager, 1)
    url = f"{manager.url}/watch/demo?region=east"
    async with manager.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"].startswith("http://origin.example:8100/live/demo/s/")
    async with manager.http.get(f"{manager.url}/steer/demo") as answer:
        assert (await answer.json(content_type=None))["VERSION"] == 1
    async with manager.http.get(f"{manager.url}/metrics") as answer:
        text = await answer.text()
    assert 'surgecast_joins_total{channel="demo",region="east"} 1.0' in text
    assert 'surgecast_fleet_viewers{channel="demo",region="east"} 72.0' in text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/pause", {"paused": "yes"}, "paused"),
        ("/api/v1/pause", {}, "paused"),
        ("/api/v1/shadow", {"shadow": True, "also": 1}, "also"),
        ("/api/v1/offset", {"region": "moon", "relays": 1}, "region"),
        ("/api/v1/offset", {"region": "east", "relays": 1.5}, "relays"),
        ("/api/v1/offset", {"region": "east", "relays": 1, "for_s": 0}, "for_s"),
        ("/api/v1/channels/demo/rung_cap", {"rung": "9p"}, "rung"),
    ],
)
async def test_what_an_operator_cannot_mean_is_refused_with_what_is_allowed(
    manager, path, body, field
):
    await crowd(manager, 1)
    status, answer = await manager.ask("PUT", path, body)
    assert status == 400 and answer["field"] == field and answer["allowed"]


async def test_wishes_hold_and_outlive_the_manager(tmp_path):
    async with running_manager(tmp_path) as manager:
        await manager.report(origin_report(region="west"))
        manager.app.tick()
        await manager.ask("PUT", "/api/v1/pause", {"paused": True})
        await manager.ask("PUT", "/api/v1/offset", {"region": "east", "relays": 2, "for_s": 60})
        cap = {"rung": "480p"}
        status, answer = await manager.ask("PUT", "/api/v1/channels/demo/rung_cap", cap)
        assert (status, answer["rung_cap"]) == (200, "480p")
        _, answer = await manager.report(origin_report(9, region="west"))
        assert answer["rung_caps"] == {"demo": "480p"}
    async with running_manager(tmp_path) as manager:
        _, answer = await manager.ask("GET", "/api/v1/status")
        assert answer["paused"] and answer["rung_caps"] == {"demo": "480p"}
        assert answer["offsets"]["east"]["relays"] == 2


async def test_a_drain_by_hand_and_of_what_is_no_relay(manager):
    await crowd(manager, 1)
    await manager.report(report_of("relay-a"))
    assert (await manager.ask("POST", "/api/v1/servers/relay-a/drain"))[0] == 200
    _, answer = await manager.report(report_of("relay-a", 1))
    assert answer["drain"]["to"] == ["origin"]
    assert (await manager.ask("POST", "/api/v1/servers/origin/drain"))[0] == 400
    assert (await manager.ask("POST", "/api/v1/servers/nobody/drain"))[0] == 404


# Bad reports.


async def test_a_flood_of_reports_is_refused_with_a_time_to_come_back(manager):
    statuses = [(await manager.report(report_of(sequence=n)))[0] for n in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    url = f"{manager.url}/api/v1/reports"
    async with manager.http.post(url, json=report_of(sequence=9).model_dump()) as answer:
        assert answer.status == 429 and answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"version": 2}, "version 2 is not spoken here; allowed: 1"),
        ({"server": "a b"}, "server cannot be used"),
        ({"egress_bps": -1}, "egress_bps cannot be used"),
        ({"channels": None}, "channels cannot be used"),
    ],
)
async def test_a_report_that_makes_no_sense_is_refused(manager, values, told):
    body = report_of().model_dump() | values
    status, answer = await manager.ask("POST", "/api/v1/reports", body)
    assert status == 400 and answer["error"] == told
    assert len(manager.app.manager.fleet) == 0


async def test_what_is_no_json_and_what_is_too_long_is_refused(tmp_path):
    text = YAML + "api: {{report_bytes_max: 5000}}\n"
    async with running_manager(tmp_path, text) as manager:
        url = f"{manager.url}/api/v1/reports"
        async with manager.http.post(url, data=b"\xff{") as answer:
            assert answer.status == 400
        async with manager.http.post(url, data=b"[" * 6000) as answer:
            assert answer.status == 413


# Who may.


async def test_operators_and_servers_have_a_token_each(tmp_path):
    async with running_manager(tmp_path, YAML + TOKENS) as manager:
        assert (await manager.report(report_of()))[0] == 401
        assert (await manager.report(report_of(), **OPERATOR))[0] == 401
        assert (await manager.report(report_of(), **SERVER))[0] == 200
        assert (await manager.ask("GET", "/api/v1/servers"))[0] == 401
        assert (await manager.ask("GET", "/api/v1/servers", **SERVER))[0] == 401
        assert (await manager.ask("GET", "/api/v1/servers", **OPERATOR))[0] == 200
        assert (await manager.ask("GET", "/api/v1/openapi.json"))[0] == 200


async def test_without_tokens_a_page_of_another_site_has_no_way_in(manager):
    for headers in ({"Origin": "http://evil.example"}, {"X-Forwarded-For": "192.0.2.1"}):
        status, _ = await manager.ask("PUT", "/api/v1/pause", {"paused": True}, **headers)
        assert status == 403
        assert (await manager.report(report_of(), **headers))[0] == 403
    async with manager.http.get(f"{manager.url}/api/v1/servers") as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_every_route_of_the_api_is_described_and_the_other_way_round(manager):
    _, document = await manager.ask("GET", "/api/v1/openapi.json")
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {(o.method, o.path) for o in OPERATIONS}
    wanted = set()
    for path in document["paths"]:
        wanted |= {path.replace("{server}", "x").replace("{channel}", "x")}
    assert len(wanted) == len(document["paths"])
    refs = set(_refs(document))
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert refs and refs <= names
    guarded = {o.path for o in OPERATIONS if o.guard != "public"}
    for method, path in described:
        assert ("security" in document["paths"][path][method.lower()]) == (path in guarded)


def _refs(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _refs(inner)


# Live views.


async def test_events_tell_what_happens_as_it_does(manager):
    async with manager.http.get(f"{manager.url}/api/v1/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        await crowd(manager)
        kinds: dict[str, dict] = {}
        async with asyncio.timeout(WAIT_S):
            while not {"decision", "incident", "summary"} <= set(kinds):
                line = (await answer.content.readline()).decode()
                if line.startswith("event: "):
                    data = (await answer.content.readline()).decode().removeprefix("data: ")
                    kinds[line.removeprefix("event: ").strip()] = json.loads(data)
    assert kinds["decision"]["region"] == "east"
    assert {s["server"] for s in kinds["summary"]["servers"]} >= {"origin"}


async def test_watchers_are_bounded_and_one_that_does_not_read_is_cut_off(tmp_path):
    text = YAML + "api: {{watchers_max: 1, watcher_queue_max: 10}}\n"
    async with running_manager(tmp_path, text) as manager:
        events = manager.app.events
        async with manager.http.get(f"{manager.url}/api/v1/events") as answer:
            await manager.until(lambda: len(events) == 1)
            async with manager.http.get(f"{manager.url}/api/v1/events") as other:
                assert other.status == 503
            for _ in range(11):
                events.send("noise", {})
            assert len(events) == 0 and events.cut_off == 1
            async with asyncio.timeout(WAIT_S):
                await answer.read()


# Reload.


async def test_a_reload_changes_thresholds_and_tells_what_waits_for_a_restart(manager):
    text = manager.config.read_text().replace("policy: {", "policy: {relays_max: 0, ")
    text = text.replace("port: 0", "port: 1") + "directives: {ttl_s: 33}\n"
    manager.config.write_text(text)
    status, answer = await manager.ask("POST", "/api/v1/reload")
    assert status == 200
    assert answer == {"changed": ["policy", "directives"], "needs_restart": ["http"]}
    _, directive = await manager.report(origin_report(region="west", viewers=CROWD))
    assert directive["ttl_s"] == 33.0
    await crowd(manager)
    assert manager.provisioner.orders == []


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("policy: {setpoint: 0.6, margin: 0.6}", "allowed: margin up to 0.4"),
        ("policy: {setpoint: 0.2, margin: 0.3}", "allowed: margin below 0.2"),
        ("policy: {limits: {relays_min: 3, relays_max: 2}}", "allowed: at most 2"),
        ("policy: {regions: {moon: {relays_min: 1}}}", "there are: default"),
        (
            "policy: {relays_max: 1, regions: {default: {relays_min: 2}}}",
            "allowed: relays_max of 2",
        ),
        ("policy: {retry_first_s: 90}", "allowed: at most 60"),
        ("directives: {ttl_s: 1}", "allowed: 2 or more"),
        ("tick_s: 3", "allowed: at most 1"),
        ("forecasting: {quantile: 0.8}", "allowed: 0.5, 0.75, 0.9, 0.95"),
        ("forecasting: {stale_after_s: 0.1}", "allowed: 1 or more"),
        ("api: {token: same-same, server_token: same-same}", "must not be an operator"),
        ("steering: {move_below: 0.99}", "is not below move_above"),
        ("fleet: {silent_interval: 3}", "unknown setting; allowed here: report_every_s"),
    ],
)
async def test_thresholds_that_contradict_each_other_are_refused_and_what_runs_goes_on(
    manager, section, told
):
    before = manager.app.settings
    manager.config.write_text(section)
    status, answer = await manager.ask("POST", "/api/v1/reload")
    assert status == 400 and told in answer["error"] and ":1:" in answer["error"]
    assert manager.app.settings is before
    with pytest.raises(ConfigError):
        await manager.app.reload()


async def test_it_listens_though_its_database_is_away(tmp_path):
    text = YAML.replace("url: null", "url: 'sqlite:////proc/none/x.db'")
    async with running_manager(tmp_path, text) as manager:
        await crowd(manager)
        await manager.until(lambda: manager.app.history_problem() is not None)
        async with manager.http.get(f"{manager.url}/readyz") as answer:
            told = await answer.json()
        assert answer.status == 200 and any("history" in text for text in told["warnings"])


async def test_what_was_learned_outlives_the_process(tmp_path):
    text = YAML.replace("reactive", "damped_drift")
    async with running_manager(tmp_path, text) as manager:
        await crowd(manager, 8)
        assert manager.app.forecasts.regions() == ["east", "west"]
    assert (manager.app.settings.state_dir / "forecasts.json").exists()
    async with running_manager(tmp_path, text) as manager:
        assert manager.app.forecasts.regions() == ["east", "west"]
