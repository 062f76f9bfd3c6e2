"""Workers over HTTP: reports in, directives out, and what operators and metrics are told."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from surgecast.control.messages import ServerReport
from surgecast.control.transcoding import WorkerDirective
from surgecast.errors import ConfigError, RemoteError
from tests.support.fleets import origin_report
from tests.support.managers import YAML, running_manager
from tests.support.placing_world import World
from traffic_manager.placement import cli
from traffic_manager.placement.settings import PlacementSettings

EXTRA = "placement: {{adoption_s: 3, constant_s: 5, strategy: {{confidence: 0.5}}}}\n"
CHANNEL = """
channels:
  news:
    source: {kind: test, width: 1280, height: 720, frame_rate: 30}
    ladder: {rungs: default}
"""


class Fleet:
    """An origin with a channel and a worker with cores, as they report over HTTP."""

    def __init__(self, manager) -> None:
        self.manager = manager
        self.world = World(PlacementSettings())
        self.world.want("news", 0.5)
        self.worker = self.world.add("w1", 4.0, start_s=0.0)
        self.sequence = 0

    def origin(self) -> ServerReport:
        said = list(self.world._origin_report().transcodes)
        return origin_report(self.sequence).model_copy(update={"transcodes": said})

    async def second(self) -> WorkerDirective | None:
        self.manager.clock.advance(1.0)
        self.world.now_s += 1.0
        self.sequence += 1
        await self.manager.report(self.origin())
        self.worker.sequence += 1
        body = self.world.report_of(self.worker).model_dump(mode="json")
        status, told = await self.manager.ask("POST", "/api/v1/workers/reports", body)
        self.manager.app.tick()
        if status != 200:
            return None
        directive = WorkerDirective.model_validate_json(json.dumps(told))
        self.world._obey(self.worker, directive)
        self.world._encode(self.worker)
        self.world._take_media()
        return directive


@pytest.fixture
async def fleet(tmp_path):
    async with running_manager(tmp_path, YAML + EXTRA) as manager:
        yield Fleet(manager)


async def test_a_channel_is_ordered_and_shown_predicted_and_realised(fleet):
    for _ in range(8):
        directive = await fleet.second()
    assert directive is not None
    [order] = directive.tasks
    assert order.channel == "news" and order.cores > 0 and order.spec
    _, told = await fleet.manager.ask("GET", "/api/v1/tasks")
    [task] = told["tasks"]
    assert task["state"] == "running" and task["worker"] == "w1"
    assert task["predicted_cores"] > 0 and task["realised_cores"] == 0.5
    assert task["reserved_cores"] >= task["predicted_cores"]
    _, workers = await fleet.manager.ask("GET", "/api/v1/workers")
    assert workers["workers"][0]["tasks"] == [task["task"]]
    _, decision = await fleet.manager.ask("GET", f"/api/v1/decisions/{task['decision']}")
    assert decision["action"] == "place" and "runs after" in decision["outcome"]
    async with fleet.manager.http.get(f"{fleet.manager.url}/metrics") as answer:
        metrics = await answer.text()
    labels = '{channel="news",role="primary",worker="w1"}'
    assert f"surgecast_task_realised_cores{labels} 0.5" in metrics
    assert f"surgecast_task_predicted_cores{labels}" in metrics
    assert 'surgecast_placement_decisions_total{action="place"} 1' in metrics


async def test_nonsense_over_http_is_refused_in_words(fleet):
    await fleet.second()
    body = fleet.world.report_of(fleet.worker).model_dump(mode="json")
    for wrong in ({"cores": -1}, {"cpu_cores": "NaN"}, {"idle_cores": 1e99}):
        status, told = await fleet.manager.ask("POST", "/api/v1/workers/reports", body | wrong)
        assert status == 400 and told["field"] == next(iter(wrong))
    raw = json.dumps(body).replace('"idle_cores": 4.0', '"idle_cores": NaN')
    async with fleet.manager.http.post(
        f"{fleet.manager.url}/api/v1/workers/reports", data=raw
    ) as answer:
        assert answer.status == 400


async def test_a_dry_run_changes_nothing_and_a_move_needs_another_worker(fleet):
    for _ in range(8):
        await fleet.second()
    ask = fleet.manager.ask
    before = (await ask("GET", "/api/v1/tasks"))[1]["tasks"][0]["task"]
    status, told = await ask("POST", "/api/v1/placements", {"channel": "news"})
    assert (status, told["kind"], told["worker"], told["dry_run"]) == (200, "placed", "w1", True)
    status, told = await ask("POST", "/api/v1/placements", {"channel": "nobody"})
    assert status == 404 and told["allowed"] == ["news"]
    assert (await ask("GET", "/api/v1/tasks"))[1]["tasks"][0]["task"] == before
    status, told = await ask("PUT", "/api/v1/tasks/news", {})
    assert status == 400 and "stays on w1" in told["error"]
    assert (await ask("PUT", "/api/v1/tasks/news", {"worker": "w9"}))[0] == 404


async def test_what_ran_is_learned_and_the_next_prediction_knows_it(fleet):
    for _ in range(20):
        await fleet.second()
    ask = fleet.manager.ask
    [first] = (await ask("GET", "/api/v1/tasks"))[1]["tasks"]
    assert "prior alone" in first["predicted_by"]
    fleet.world.want("more", 0.5)
    for _ in range(3):
        await fleet.second()
    learner = fleet.manager.app.learning.learner
    assert learner.learned == 1, fleet.manager.app.learning.sampler.refused
    told = (await ask("POST", "/api/v1/placements", {"channel": "news"}))[1]
    assert "measured" in told["known"]
    assert abs(told["cores"] - 0.5) < abs(first["predicted_cores"] - 0.5)


async def test_what_cannot_be_learned_does_not_keep_a_worker_from_its_answer(fleet, monkeypatch):
    def fail(*given):
        raise ArithmeticError("of a model")

    monkeypatch.setattr(fleet.manager.app.manager, "_learn", fail)
    for _ in range(8):
        directive = await fleet.second()
    assert directive is not None and directive.tasks


async def test_place_explains_the_choice_and_lists_tasks(fleet, tmp_path, capsys):
    for _ in range(8):
        await fleet.second()
    path = tmp_path / "channel.yaml"
    path.write_text(CHANNEL)

    async def placed(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        cli.configure(parser)
        args = parser.parse_args([*words, "--manager", fleet.manager.url])
        status = await asyncio.to_thread(cli.run, args)
        return status, capsys.readouterr().out

    status, told = await placed("--dry-run", str(path))
    assert status == 0 and "news: on w1" in told and "dry run" in told and "to" in told
    status, told = await placed("--list")
    assert status == 0 and "predicted" in told and "0.50" in told
    status, told = await placed("--list", "--json")
    assert json.loads(told)["tasks"][0]["channel"] == "news"
    status, told = await placed("--costs")
    assert status == 0 and "0 samples" in told
    with pytest.raises(RemoteError, match="no version 3 of costs"):
        await placed("--costs", "--version", "3")
    with pytest.raises(ConfigError, match="--version 3: only with --costs"):
        await placed("--list", "--version", "3")
    with pytest.raises(ConfigError, match="--list"):
        await placed()
    path.write_text(CHANNEL.replace("news", "nobody"))
    with pytest.raises(RemoteError, match="unknown channel nobody"):
        await placed(str(path))


def test_place_without_a_manager_says_so(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    cli.configure(parser)
    args = parser.parse_args(["--list", "--manager", "http://127.0.0.1:1"])
    with pytest.raises(RemoteError, match="no manager answers"):
        cli.run(args)


async def test_a_picture_out_of_range_is_less_certain_and_says_so(fleet):
    for _ in range(5):
        await fleet.second()
    usual = fleet.world.signatures["news"]
    odd = usual.model_copy(
        update={"rungs": [usual.rungs[0].model_copy(update={"width": 15360, "height": 8640})]}
    )
    spreads = []
    for signature in (usual, odd):
        body = {"channel": "x", "signature": signature.model_dump(mode="json")}
        _, told = await fleet.manager.ask("POST", "/api/v1/placements", body)
        spreads.append(told["cores_high"] / told["cores_low"])
    assert spreads[1] > 1.2 * spreads[0]
    assert "out of range" in told["known"]


async def test_placing_goes_on_while_the_database_is_away(tmp_path):
    text = YAML.replace("url: null", "url: 'sqlite:////proc/none/x.db'")
    async with running_manager(tmp_path, text + EXTRA) as manager:
        fleet = Fleet(manager)
        for _ in range(8):
            directive = await fleet.second()
        assert directive is not None and directive.tasks
        assert (await manager.ask("GET", "/api/v1/tasks"))[1]["tasks"][0]["state"] == "running"


async def test_what_was_learned_is_shown_and_gone_back_to(fleet):
    ask, learning = fleet.manager.ask, fleet.manager.app.learning
    status, told = await ask("GET", "/api/v1/costs")
    assert (status, told["samples"], told["error"], told["versions"]) == (200, 0, None, [])
    learning.learner.learned += 1
    await learning.keep()
    status, told = await ask("PUT", "/api/v1/costs", {"version": 1})
    assert status == 200
    versions = [(each["version"], each["of_version"]) for each in told["versions"]]
    assert versions == [(2, 1), (1, None)]
    status, told = await ask("PUT", "/api/v1/costs", {"version": 9})
    assert status == 400 and "allowed: 2, 1" in told["error"]
    status, told = await ask("PUT", "/api/v1/costs", {"version": "1"})
    assert status == 400
