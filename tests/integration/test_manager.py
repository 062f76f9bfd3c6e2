"""The manager as a process: signals, a bad file, a kill, and what it finds again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from surgecast.supervise import die_with_parent
from tests.support.fleets import origin_report, report_of
from tests.support.ports import free_port
from tests.support.running import ROOT, WAIT_S, until

YAML = """
http: {{host: 127.0.0.1, port: {port}}}
state_dir: {folder}
settle_s: 60
history: {{url: "sqlite:///{folder}/manager.db", demand_every_s: 0.1}}
"""


@asynccontextmanager
async def process(config) -> AsyncIterator[asyncio.subprocess.Process]:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "surgecast.cli", "manager", "-c", str(config)),
        cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent(os.getpid()),
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "manager.yaml"
    path.write_text(YAML.format(port=free_port(), folder=tmp_path), encoding="utf-8")
    return path


def url_of(config) -> str:
    port = config.read_text().partition("port: ")[2].partition("}")[0]
    return f"http://127.0.0.1:{port}"


async def report(http, url, sequence) -> dict:
    for said in (origin_report(sequence, viewers={"east": 7}), report_of("relay-1", sequence)):
        async with http.post(f"{url}/api/v1/reports", json=said.model_dump()) as answer:
            assert answer.status == 200
    return await (await http.get(f"{url}/api/v1/status")).json()


async def test_signals_a_bad_file_and_a_kill(config):
    url = url_of(config)
    async with aiohttp.ClientSession() as http:
        async with process(config) as manager:
            await until(http, f"{url}/healthz", "ok")
            await report(http, url, 1)
            good = config.read_text()
            config.write_text("policy: {setpoint: 7}")
            manager.send_signal(signal.SIGHUP)
            config_after = good + "directives: {ttl_s: 44}\n"
            await report(http, url, 2)
            config.write_text(config_after)
            manager.send_signal(signal.SIGHUP)
            async with asyncio.timeout(WAIT_S):
                sequence, told = 3, {}
                while told.get("ttl_s") != 44:
                    said = origin_report(sequence := sequence + 1)
                    async with http.post(f"{url}/api/v1/reports", json=said.model_dump()) as got:
                        told = await got.json()
                    await asyncio.sleep(0.6)  # it may report about twice a second
            async with http.put(f"{url}/api/v1/pause", json={"paused": True}) as answer:
                assert answer.status == 200
            manager.kill()
            await manager.wait()
        async with process(config) as manager:
            await until(http, f"{url}/healthz", "ok")
            status = await report(http, url, 1000)
            assert status["servers"] == {"serving": 2} and status["paused"]
            await until(http, f"{url}/metrics", "surgecast_history_rows_written_total ")
            manager.terminate()
            async with asyncio.timeout(WAIT_S):
                assert await manager.wait() == 0
