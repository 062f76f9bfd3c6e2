"""Has models fitted outside of the manager's process, one at a time.

A fit takes seconds of a core. It runs in a process of its own, with a lower priority and a timeout,
that ends with it: memory that a library took is given back. A fit that fails is an incident; the
mix of experts goes on with the model it has, or without one, and the fit is tried again later.
"""

import asyncio
import json
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence

from surgecast.clock import Clock
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.supervise import Child
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.series import Series

LOOK_EVERY_S = 5.0
_TIMEOUT_S = 600.0
_RETRY_AFTER_S = 1800.0
_ANSWER_BYTES_MAX = 64 * 1024 * 1024
_COMMAND = (sys.executable, "-m", "traffic_manager.fit_worker")

_log = Log("surgecast.fitting")


class Fitting:
    """Looks which series want a fit, and brings them what was found."""

    def __init__(
        self,
        series: Callable[[], Mapping[str, Series]],
        failed: Callable[[str], None],
        clock: Clock,
        *,
        timeout_s: float = _TIMEOUT_S,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """`series` gives those of now by region; `failed` takes a sentence."""
        self._series = series
        self._failed = failed
        self._clock = clock
        self._timeout_s = timeout_s
        self._command = tuple(command)
        self.done, self.not_done = 0, 0
        """Fits that found a model, and that did not."""
        self.took_s: float | None = None
        """The last one that did."""
        self._tried_at_s: dict[str, float] = {}
        self._not_before_s: dict[str, float] = {}

    async def run(self) -> None:
        """Fit what is wanted, until cancelled."""
        while True:
            if not await self.look():
                await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> bool:
        """One fit, of the region that waited longest; whether one was wanted."""
        found = self._next()
        if found is None:
            return False
        region, series, job = found
        began_s = self._tried_at_s[region] = self._clock.now()
        try:
            fitted = await run_outside(job, timeout_s=self._timeout_s, command=self._command)
            # Who has learned anew meanwhile begins without.
            if self._series().get(region) is series:
                series.forecaster.fitted(fitted)
        except (LocalError, ValueError, KeyError, TypeError) as error:
            self.not_done += 1
            self._not_before_s[region] = self._clock.now() + _RETRY_AFTER_S
            self._failed(f"no model fitted for {region}: {error}; the mix goes on without it")
            return True
        self.done += 1
        self.took_s = self._clock.now() - began_s
        _log.info("fitted", region=region, took_s=round(self.took_s, 1))
        return True

    def _next(self) -> tuple[str, Series, FitJob] | None:
        series, now_s = self._series(), self._clock.now()
        for noted in (self._tried_at_s, self._not_before_s):
            for region in set(noted) - set(series):
                del noted[region]
        for region in sorted(series, key=lambda name: self._tried_at_s.get(name, float("-inf"))):
            if now_s >= self._not_before_s.get(region, float("-inf")):
                job = series[region].forecaster.wanted_fit()
                if job is not None:
                    return region, series[region], job
        return None


async def run_outside(
    job: FitJob, *, timeout_s: float = _TIMEOUT_S, command: Sequence[str] = _COMMAND
) -> Fitted:
    """One job in a process of its own. Raises LocalError where it took too long or ended without
    an answer."""
    pipe = asyncio.subprocess.PIPE
    child = await Child.start(tuple(command), name="fit", stdin=pipe, stdout=pipe)
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _asked(child, pickle.dumps(job))
            status = await child.wait()
    except TimeoutError:
        raise LocalError(f"it took more than {timeout_s:g} s") from None
    finally:
        if child.process.returncode is None:
            child.kill()
            await child.wait()
    if status != 0:
        said = child.stderr_tail[-1] if child.stderr_tail else "nothing said"
        raise LocalError(f"its process ended with {status}: {said}")
    found = json.loads(answer)
    return Fitted(str(found["expert"]), found["state"])


async def _asked(child: Child, question: bytes) -> bytes:
    """What a child writes after it has read all of `question`."""
    source, sink = child.process.stdout, child.process.stdin
    assert source is not None and sink is not None
    try:
        sink.write(question)
        await sink.drain()
        sink.close()
    except ConnectionError:
        pass  # it ended before: how it ended says more
    parts, size = [], 0
    while part := await source.read(1 << 16):
        size += len(part)
        if size > _ANSWER_BYTES_MAX:
            raise LocalError(f"its answer is longer than {_ANSWER_BYTES_MAX} bytes")
        parts.append(part)
    return b"".join(parts)
