"""`surgecast demo`: the whole system on one machine, as the separate processes it is made of.

An origin with a test channel, and a viewer on the server-switched stream whose rung is changed
while it plays. It talks to them as anyone would: command line, HTTP, signals.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from surgecast.demo_view import Scene, View
from surgecast.errors import LocalError, SurgecastError
from surgecast.supervise import Child, run_until_stopped

CHANNEL = "demo"
_READY_TIMEOUT_S = 40.0
_POLL_S = 0.5
_SWITCH_EVERY_S = 8.0
_LOG_LINES_KEPT = 200

_CONFIG = """\
# The configuration of `surgecast demo`. `surgecast origin -c` takes a file like this.
http: {{host: {host}, port: {port}}}
state_dir: {state_dir}
channels:
  {channel}:
    source: {{kind: test, width: 1280, height: 720, frame_rate: 25}}
    ladder: {{rungs: default}}
    low_latency: {{enabled: true}}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=_seconds, help="end after N seconds of play")
    parser.add_argument("--port", type=int, default=8080, help="port of the page (0: a free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--json", action="store_true", help="the summary as JSON, on the last line")
    parser.add_argument("--state-dir", type=Path, help="keep the channel's state there")


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when the viewer saw a picture without a stall, else 1."""
    with tempfile.TemporaryDirectory(prefix="surgecast-demo-") as folder:
        demo = Demo(args, Path(folder))
        asyncio.run(demo.run())
    return demo.finish()


def _seconds(text: str) -> float:
    value = float(text)
    if not 5 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected 5 to 86400 seconds, found {text}")
    return value


class Demo:
    """Starts the processes, watches them, ends them."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self._args = args
        self._folder = folder
        self._port = args.port or _free_port(args.host)
        host = "127.0.0.1" if args.host == "0.0.0.0" else args.host
        self._base = f"http://{host}:{self._port}"
        self._scene = Scene(url=f"{self._base}/", seconds=args.seconds)
        self._origin_log: deque[str] = deque(maxlen=_LOG_LINES_KEPT)
        self._report: dict[str, Any] | None = None

    async def run(self) -> None:
        await run_until_stopped(self._play)

    def finish(self) -> int:
        """Print the summary; the exit status."""
        report = self._report
        ok = report is not None and report.get("played") is True and not report.get("stalls")
        summary = {
            "ok": ok,
            "url": self._scene.url,
            "channel": _brief(self._scene.channel),
            "viewer": report,
        }
        View.summary(summary, report)
        if self._args.json:
            sys.stdout.write(json.dumps(summary) + "\n")
        if self._args.seconds is None:
            return 0  # ended by hand
        return 0 if ok else 1

    async def _play(self) -> None:
        _check_port(self._args.host, self._port)
        origin = await self._start_origin()
        try:
            async with aiohttp.ClientSession() as http:
                with View(self._scene) as view:
                    await self._until_ready(http, origin, view)
                    await self._watch(http, origin, view)
        finally:
            await origin.stop(grace_s=5.0)

    async def _start_origin(self) -> Child:
        state_dir = self._args.state_dir or self._folder / "state"
        config = self._folder / "origin.yaml"
        config.write_text(
            _CONFIG.format(
                host=self._args.host, port=self._port, state_dir=state_dir, channel=CHANNEL
            ),
            encoding="utf-8",
        )
        argv = [sys.executable, "-m", "surgecast.cli", "origin", "-c", str(config)]
        return await Child.start(argv, name="origin", on_line=self._take_origin_line)

    def _take_origin_line(self, line: str) -> None:
        self._origin_log.append(line)
        if " WARNING " in line or " ERROR " in line:
            self._scene.events.append(line)

    async def _until_ready(self, http: aiohttp.ClientSession, origin: Child, view: View) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < _READY_TIMEOUT_S:
            if origin.process.returncode is not None:
                raise LocalError("the origin ended:\n" + "\n".join(list(self._origin_log)[-8:]))
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"{self._base}/readyz") as answer:
                    if answer.status == 200:
                        return
            view.update()
            await asyncio.sleep(_POLL_S)
        raise LocalError(
            f"the channel was not ready within {_READY_TIMEOUT_S:g} s:\n"
            + "\n".join(list(self._origin_log)[-8:])
        )

    async def _watch(self, http: aiohttp.ClientSession, origin: Child, view: View) -> None:
        """Show what happens until the viewer, or the origin, has ended."""
        session_url, rung_url = await self._open_session(http)
        viewer = await self._start_viewer(session_url)
        loop = asyncio.get_running_loop()
        began = switched = loop.time()
        try:
            while viewer.process.returncode is None:
                if origin.process.returncode is not None:
                    raise LocalError("the origin ended:\n" + "\n".join(list(self._origin_log)[-8:]))
                await self._poll(http)
                if loop.time() - switched >= _SWITCH_EVERY_S:
                    switched = loop.time()
                    await self._switch(http, rung_url)
                self._scene.elapsed_s = loop.time() - began
                view.update()
                await asyncio.sleep(_POLL_S)
        finally:
            await viewer.stop(grace_s=3.0)

    async def _start_viewer(self, url: str) -> Child:
        argv = [sys.executable, "-m", "surgecast.cli", "play", url, "--progress"]
        if self._args.seconds is not None:
            argv += ["--seconds", str(self._args.seconds)]
        child = await Child.start(argv, name="viewer", stdout=asyncio.subprocess.PIPE)
        self._reading = asyncio.create_task(self._read_viewer(child))
        return child

    async def _read_viewer(self, child: Child) -> None:
        """Each line is a report; the last one is final."""
        stream = child.process.stdout
        if stream is None:
            return
        async for line in stream:
            with suppress(ValueError):
                report = json.loads(line)
                if report.get("final"):
                    self._report = report
                self._scene.viewer = report

    async def _open_session(self, http: aiohttp.ClientSession) -> tuple[str, str]:
        """A session of its own: its playlist, and the address that sets its rung."""
        base = f"{self._base}/live/{CHANNEL}"
        async with http.get(f"{base}/adaptive.m3u8") as answer:
            answer.raise_for_status()
            lines = (await answer.text()).splitlines()
        path = next(line for line in lines if line and not line.startswith("#"))
        session = path.split("/")[1]
        api = f"{self._base}/api/v1/channels/{CHANNEL}/sessions/{session}/rung"
        return f"{base}/{path}", api

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        with suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async with http.get(f"{self._base}/api/v1/channels") as answer:
                channels = (await answer.json())["channels"]
                self._scene.channel = next(c for c in channels if c["name"] == CHANNEL)

    async def _switch(self, http: aiohttp.ClientSession, rung_url: str) -> None:
        """The next rung down, from the lowest back to the top."""
        rungs = [rung["name"] for rung in self._scene.channel.get("ladder", [])]
        if not rungs:
            return
        now = str(self._scene.viewer.get("rung"))
        place = rungs.index(now) if now in rungs else 0
        wanted = rungs[(place + 1) % len(rungs)]
        with suppress(aiohttp.ClientError, TimeoutError):
            async with http.put(rung_url, json={"rung": wanted}) as answer:
                if answer.status == 200:
                    self._scene.events.append(f"server switches the viewer to {wanted}")


def _brief(channel: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "state", "next_msn", "viewers", "ladder")
    return {key: channel[key] for key in kept if key in channel}


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _check_port(host: str, port: int) -> None:
    """Say who cannot have the port before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SurgecastError(
                f"port {port} of {host} cannot be used ({os.strerror(error.errno or 0)}); "
                "choose another with --port N, or --port 0 for any free one"
            ) from error
