"""The loop that tells the manager how a server or a worker is, and takes what the answer wants.

The manager may be away, slow, or talk nonsense: each try has a bound, the next one comes after the
usual pause, and the log says once that it went away and once that it is back. The pause is not made
longer while it is away, because one report is cheap and a manager that returns needs all of them
soon; a manager that has too much to do says so with 429 or 503 and `Retry-After`.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

import aiohttp
from aiohttp import hdrs
from pydantic import ValidationError

from surgecast.control.messages import Message
from surgecast.control.settings import ControlSettings
from surgecast.control.standing import UnknownVersion
from surgecast.log import Log
from surgecast.metrics import Metrics, Sample

_JITTER = 0.1
"""Pauses differ by this much, so that servers started together do not report together."""


class _NoDirective(Exception):
    """A try that brought none; `outcome` is its label in the metrics."""

    def __init__(self, outcome: str, why: object, pause_s: float = 0.0) -> None:
        super().__init__(str(why) or type(why).__name__)
        self.outcome = outcome
        self.pause_s = pause_s


D = TypeVar("D", bound=Message)
"""What the manager answers with."""


class Reporting(Generic[D]):
    """Reports of one server or worker to one manager. `run` until cancelled."""

    def __init__(
        self,
        settings: ControlSettings,
        report: Callable[[], Message],
        take: Callable[[D], float],
        *,
        answer: type[D],
        path: str,
        jitter: Callable[[], float],
        without: str = "what it said last holds until it expires",
    ) -> None:
        """Reports are posted to `path` of the manager and answered with an `answer`.

        `take` gets every directive and answers with the pause until the next report; it raises
        UnknownVersion. `jitter` gives numbers from 0 to 1. `without` says in the log what holds
        while there is no directive.
        """
        self._settings = settings
        self._report = report
        self._take = take
        self._answer = answer
        self._path = path
        self._jitter = jitter
        self._without = without
        self._soon = asyncio.Event()
        self._log = Log("surgecast.control", manager=settings.manager)
        self.tried = asyncio.Event()
        """Set when the first report has been answered, or has failed."""
        self.answered: bool | None = None
        """Whether the last report was; None before the first."""
        self.outcomes: Counter[str] = Counter()

    def hurry(self) -> None:
        """Something is worth telling now."""
        self._soon.set()

    async def run(self) -> None:
        """Report again and again. Without a manager there is nothing to do."""
        if self._settings.manager is None:
            return
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        headers = {"Content-Type": "application/json"}
        if self._settings.token is not None:
            headers[hdrs.AUTHORIZATION] = f"Bearer {self._settings.token}"
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
            while True:
                pause_s = await self._try(http)
                self.tried.set()
                spread = 1 + _JITTER * (2 * self._jitter() - 1)
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: Python 3.11's loses a cancellation that comes with the event.
                    async with asyncio.timeout(pause_s * spread):
                        await self._soon.wait()

    async def _try(self, http: aiohttp.ClientSession) -> float:
        """One report; the pause after it."""
        self._soon.clear()
        try:
            pause_s = self._take(await self._post(http))
        except UnknownVersion as error:
            return self._failed(_NoDirective("unknown_version", error))
        except _NoDirective as failure:
            return self._failed(failure)
        self.outcomes["answered"] += 1
        if self.answered is False:
            self._log.info("the manager answers again")
        self.answered = True
        return pause_s

    def _failed(self, failure: _NoDirective) -> float:
        self.outcomes[failure.outcome] += 1
        if self.answered is not False:
            self._log.warning(
                f"no directive from the manager; {self._without}",
                outcome=failure.outcome,
                reason=failure,
            )
        self.answered = False
        return max(failure.pause_s, self._settings.report_every_s)

    async def _post(self, http: aiohttp.ClientSession) -> D:
        """Raises _NoDirective."""
        url = f"{self._settings.manager}{self._path}"
        body = self._report().model_dump_json().encode()
        try:
            async with http.post(url, data=body, allow_redirects=False) as answer:
                text = await self._read(answer)
                if answer.status != 200:
                    why = f"HTTP {answer.status}: {text[:200].decode('utf-8', 'replace').strip()}"
                    raise _NoDirective("refused", why, self._retry_after_s(answer))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _NoDirective("unreachable", error) from error
        try:
            return self._answer.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "the answer"
            raise _NoDirective("unusable", f"{field}: {first['msg']}") from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        limit, text = self._settings.answer_bytes_max, bytearray()
        async for piece in answer.content.iter_any():
            text += piece
            if len(text) > limit:
                raise _NoDirective("unusable", f"an answer of more than {limit} bytes")
        return bytes(text)

    def _retry_after_s(self, answer: aiohttp.ClientResponse) -> float:
        """What a busy manager asks for, within our own bound."""
        asked = answer.headers.get(hdrs.RETRY_AFTER, "")
        if answer.status not in (429, 503) or not asked.isascii() or not asked.isdigit():
            return 0.0
        return min(float(asked), self._settings.retry_max_s)


def watch_reporting(metrics: Metrics, reporting: Reporting[D]) -> None:
    """Show whether the manager is there, and what came of reports."""
    metrics.gauge(
        "surgecast_manager_answers",
        "1 while the manager answers reports of this process, 0 while it does not",
        (),
        lambda: [] if reporting.answered is None else [Sample(float(reporting.answered))],
    )
    metrics.counter(
        "surgecast_reports",
        "Reports to the manager, by what came of them",
        ("outcome",),
        lambda: [Sample(count, (outcome,)) for outcome, count in reporting.outcomes.items()],
    )
