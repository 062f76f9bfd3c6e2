"""Every fuzz target, briefly, from a fixed seed: the same bytes on every machine."""

import os
import random
import time

import pytest

from surgecast.errors import RemoteError
from tests.fuzz import engine
from tests.fuzz.mutate import SIZE_MAX, mutated
from tests.fuzz.target import Target, in_pieces, refused
from tests.fuzz.targets import TARGETS

EXECUTIONS = {
    "feed": 200,
    "config": 300,
    "session_log": 200,
    "ledger": 400,
    "mirror": 300,
    "http": 600,
    "pushed": 1000,
    "pushed_packets": 600,
}
EXECUTIONS_ELSEWHERE = 3000


@pytest.mark.parametrize("name", list(TARGETS))
def test_no_bytes_do_what_no_bytes_may(name: str) -> None:
    executions = EXECUTIONS.get(name, EXECUTIONS_ELSEWHERE)
    outcome = engine.fuzz(TARGETS[name], executions=executions)
    assert [finding.what for finding in outcome.findings] == []
    assert len(outcome.outcomes) > 1, "the seeds get through, and some mutations do not"


def refuses_x(data: bytes) -> str:
    if b"x" in data:
        raise ValueError("an x")
    return "fine"


def test_what_raises_is_a_finding_once() -> None:
    outcome = engine.fuzz(Target("x", lambda: [b"w" * 10], refuses_x), executions=2000)
    assert len(outcome.findings) == 1 and "ValueError: an x at " in outcome.findings[0].what
    assert b"x" in outcome.findings[0].data


def test_what_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def spin(data: bytes) -> str:
        while True:
            time.process_time()

    monkeypatch.setattr(engine, "INPUT_CPU_S", 0.05)
    outcome = engine.fuzz(Target("spin", lambda: [b""], spin), executions=1)
    assert [finding.what for finding in outcome.findings] == [
        "no end within 0.05 s of processor time"
    ]


def test_what_takes_memory_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter((100 << 20, 400 << 20))
    monkeypatch.setattr(engine, "_peak_rss_bytes", lambda: next(sizes, 400 << 20))
    outcome = engine.fuzz(Target("fat", lambda: [b""], lambda data: ""), executions=1)
    assert ["memory" in finding.what for finding in outcome.findings] == [True]


def test_mutations_are_bounded_and_repeat_with_the_seed() -> None:
    corpus = [os.fsencode(__file__) * 4000]
    first, again = random.Random(7), random.Random(7)
    for _ in range(50):
        data = mutated(first, corpus)
        assert data == mutated(again, corpus) and len(data) <= SIZE_MAX


def test_pieces_are_the_whole() -> None:
    rng = random.Random(1)
    for _ in range(200):
        whole, pieces = in_pieces(rng.randbytes(rng.randint(0, 40)))
        assert b"".join(pieces) == whole and len(pieces) <= 8


def test_an_outcome_holds_no_values() -> None:
    assert refused(RemoteError("line 7: found 'x'")) == "RemoteError line _: found _"
