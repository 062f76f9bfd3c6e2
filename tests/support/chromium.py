"""Headless Chromium driven over its DevTools protocol, for tests that need a real browser.

One browser is one process group with a profile of its own, and it shows one page: Chromium pauses
pages in the background, so a viewer who is to be measured needs a browser to himself. Only
loopback resolves in it.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.* , EXCLUDE localhost",
    "--remote-debugging-port=0",
)
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 5.0
_MESSAGE_MAX_BYTES = 64 * 1024 * 1024
_LISTENING = re.compile(rb"DevTools listening on (ws://\S+)")


class BrowserError(Exception):
    """The browser did not start, went away, or the page's script threw."""


def program() -> str | None:
    """Path of the installed Chromium, None where there is none."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """The one tab of a browser. Complaints of the page collect in `complaints`."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self._browser = browser
        self._session = session
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        """Console errors, uncaught exceptions and failed loads, in order."""

    async def open(self, url: str, limit_s: float = 60.0) -> None:
        """Go to `url` and return when its load event has fired."""
        self._loaded.clear()
        answer = await self._send("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        async with asyncio.timeout(limit_s):
            await self._loaded.wait()

    async def evaluate(self, script: str, limit_s: float = 60.0) -> Any:
        """The value of a JavaScript expression; a promise is awaited. Raises BrowserError."""
        async with asyncio.timeout(limit_s):
            answer = await self._send(
                "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
            )
        if "exceptionDetails" in answer:
            raise BrowserError(_exception_text(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def reads(self, selector: str, wanted: str, limit_s: float = 60.0) -> None:
        """Return when that element has a text that contains `wanted`; the browser watches it."""
        script = f"""new Promise((resolve) => {{
          const element = document.querySelector({json.dumps(selector)});
          const look = () => {{
            if (element.textContent.includes({json.dumps(wanted)})) resolve(true);
          }};
          new MutationObserver(look).observe(element, {{
            childList: true, characterData: true, subtree: true,
          }});
          look();
        }})"""
        try:
            await self.evaluate(script, limit_s)
        except TimeoutError:
            found = await self.evaluate(f"document.querySelector({json.dumps(selector)}).outerHTML")
            raise BrowserError(f"no {wanted!r} in {found} within {limit_s:g} s") from None

    async def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        """Give the page a window of this many CSS pixels."""
        await self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    async def screenshot(self, path: Path) -> None:
        """Write what is on screen to `path` as PNG."""
        answer = await self._send("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    async def prepare(self) -> None:
        """Switch on the events this class listens to."""
        for domain in ("Page", "Runtime", "Log"):
            await self._send(f"{domain}.enable")

    def receive(self, method: str, params: dict[str, Any]) -> None:
        """Take in one event of the browser that belongs to this page."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(_exception_text(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in {"error", "assert"}:
            words = (str(a.get("value", a.get("description", ""))) for a in params["args"])
            self.complaints.append("console: " + " ".join(words))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            entry = params["entry"]
            self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    async def _send(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._browser.send(method, params, self._session)


class Chromium:
    """`async with Chromium() as browser`: ended with all its children on the way out."""

    def __init__(self, *extra_flags: str) -> None:
        self._extra_flags = extra_flags
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._stack = contextlib.AsyncExitStack()
        self._socket: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            profile = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
            )
            address = await stack.enter_async_context(_process(profile, self._extra_flags))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            self._socket = await stack.enter_async_context(
                http.ws_connect(address, max_msg_size=_MESSAGE_MAX_BYTES)
            )
            reader = asyncio.create_task(self._read())
            stack.push_async_callback(_cancelled, reader)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def page(self) -> Page:
        """Open the tab. Ask once for each browser."""
        target = await self.send("Target.createTarget", {"url": "about:blank"})
        attached = await self.send(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        session = attached["sessionId"]
        page = self._pages[session] = Page(self, session)
        await page.prepare()
        return page

    async def send(
        self, method: str, params: dict[str, Any], session: str | None = None
    ) -> dict[str, Any]:
        """One DevTools command and its answer. Raises BrowserError when refused."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        try:
            await self._socket.send_json(message | ({"sessionId": session} if session else {}))
            return await answer
        finally:
            del self._answers[number]

    async def _read(self) -> None:
        async for message in self._socket:
            body = message.json()
            if "id" in body:
                self._answer(body)
            elif page := self._pages.get(body.get("sessionId", "")):
                page.receive(body["method"], body["params"])
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(BrowserError("the browser went away"))

    def _answer(self, body: dict[str, Any]) -> None:
        waiting = self._answers.get(body["id"])
        if waiting is None or waiting.done():
            return
        if "error" in body:
            waiting.set_exception(BrowserError(body["error"]["message"]))
        else:
            waiting.set_result(body["result"])


def _exception_text(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or thrown.get("value") or details.get("text", ""))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@contextlib.asynccontextmanager
async def _process(profile: str, extra_flags: tuple[str, ...]) -> AsyncIterator[str]:
    """Run the browser; yields its DevTools address; ends its whole process group by id."""
    path = program()
    if path is None:
        raise BrowserError("Chromium is not installed")
    process = await asyncio.create_subprocess_exec(
        path,
        *_FLAGS,
        *extra_flags,
        f"--user-data-dir={profile}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"HOME": profile, "XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile},
    )
    assert process.stderr is not None
    drain: asyncio.Task[None] | None = None
    try:
        address = await _address(process.stderr)
        drain = asyncio.create_task(_drain(process.stderr))
        yield address
    finally:
        await _end_group(process)
        if drain is not None:
            await _cancelled(drain)


async def _address(stderr: asyncio.StreamReader) -> str:
    seen = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_LIMIT_S):
            async for line in stderr:
                if found := _LISTENING.search(line):
                    return found[1].decode()
                seen += line
    raise BrowserError(f"Chromium did not start: {seen.decode(errors='replace')[-2000:]}")


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


async def _end_group(process: asyncio.subprocess.Process) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_LIMIT_S)
    # The leader is gone: nothing of its group may outlive it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
