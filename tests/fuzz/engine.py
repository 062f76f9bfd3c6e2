"""The loop without coverage: mutate, run within bounds of time and memory, keep what is new."""

import random
import resource
import signal
import time
import traceback
from dataclasses import dataclass, field
from types import FrameType

from tests.fuzz.mutate import mutated
from tests.fuzz.target import Target

INPUT_CPU_S = 5.0
"""Processor time one input may take: what needs more than a moment for 64 KiB hangs."""
INPUT_RSS_BYTES = 256 * 1024 * 1024
"""Memory one input may add."""
_CORPUS_MAX = 2000
_FINDINGS_MAX = 10


class Hang(BaseException):
    """An input took more than `INPUT_CPU_S`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Bytes that do what no bytes may."""

    data: bytes
    what: str


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    executions: int = 0
    seconds: float = 0.0
    outcomes: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    slowest_cpu_s: float = 0.0
    rss_bytes: int = 0


def fuzz(
    target: Target, *, seed: int = 0, seconds: float | None = None, executions: int | None = None
) -> Outcome:
    """Work on `target` until either bound is reached, or there are ten findings."""
    rng = random.Random(seed)
    corpus, outcome = list(target.seeds()), Outcome()
    began = time.monotonic()
    before = signal.signal(signal.SIGPROF, _hang)
    try:
        for data in corpus[:]:
            _once(target, data, outcome)
        while len(outcome.findings) < _FINDINGS_MAX:
            outcome.seconds = time.monotonic() - began
            if seconds is not None and outcome.seconds >= seconds:
                break
            if executions is not None and outcome.executions >= executions:
                break
            data = mutated(rng, corpus)
            if _once(target, data, outcome) and len(corpus) < _CORPUS_MAX:
                corpus.append(data)
    finally:
        signal.signal(signal.SIGPROF, before)
    outcome.rss_bytes = _peak_rss_bytes()
    return outcome


def _once(target: Target, data: bytes, outcome: Outcome) -> bool:
    """Run one input; whether its outcome is new."""
    outcome.executions += 1
    rss_before, cpu_before = _peak_rss_bytes(), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, INPUT_CPU_S)
    try:
        what = target.run(data)
    except Hang:
        return _found(outcome, data, f"no end within {INPUT_CPU_S:g} s of processor time")
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}:{frame.lineno}"
        return _found(outcome, data, f"{type(error).__name__}: {error} at {where}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        outcome.slowest_cpu_s = max(outcome.slowest_cpu_s, time.process_time() - cpu_before)
    grown = _peak_rss_bytes() - rss_before
    if grown > INPUT_RSS_BYTES:
        return _found(outcome, data, f"{grown} bytes of memory for one input")
    if what in outcome.outcomes:
        return False
    outcome.outcomes.add(what)
    return True


def _found(outcome: Outcome, data: bytes, what: str) -> bool:
    place = what.rpartition(" at ")[2]
    if not any(finding.what.endswith(place) for finding in outcome.findings):
        outcome.findings.append(Finding(data, what))
    return False


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
