"""What a tick of the governor costs: the rungs of a whole server decided for one segment.

    python -m bench.governor

A server with several channels, its sessions spread over rungs, playlists and slow connections, and
a budget that is too small for them: each tick lowers, raises and swaps. Printed is the CPU time of
`Stage`'s whole decision (claims, allocation, histories written), and for comparison what it costs
with ten times as many sessions.
"""

import random
import statistics
import time
from dataclasses import replace

from surgecast.clock import ManualClock
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.settings import AdaptationSettings, EgressSettings, SessionSettings
from surgecast.media.segment import SegmentSet
from tests.support.shows import RUNGS, segment_set, window

BAR_MS = 5.0
_CHANNELS = 4
_TICKS = 100
_RATES_BPS = {"720p": 4_000_000, "480p": 2_000_000, "360p": 1_000_000}
_SESSION_BPS = 2_000_000


def server(sessions: int, rng: random.Random) -> tuple[Directory, list[Stage], ManualClock]:
    clock = ManualClock()
    egress = EgressSettings(capacity_bps=sessions * _SESSION_BPS, utilisation_target=1.0)
    directory = Directory(clock, egress=egress)
    stages = [
        directory.add(
            f"channel{number}",
            window(),
            sessions=SessionSettings(session_expiry_s=1e6, unused_expiry_s=1e6),
            adaptation=AdaptationSettings(),
        )
        for number in range(_CHANNELS)
    ]
    for stage in stages:
        for _ in range(6):
            stage.publish(segments(stage))
    for number in range(sessions):
        stage = stages[number % _CHANNELS]
        name = f"session{number}"
        if number % 3:
            stage.create_session(name)
            if number % 5 == 0:
                stage.sessions.set_ceiling(name, rng.randrange(len(RUNGS)))
        else:
            stage.segment_sessions.create_index(name)
            stage.variants.playlist(name, rng.choice(RUNGS))
    return directory, stages, clock


def segments(stage: Stage) -> SegmentSet:
    payloads = {rung: bytes(rate // 4) for rung, rate in _RATES_BPS.items()}
    return replace(segment_set(stage.window.next_msn), payloads=payloads)


def decide(stage: Stage, coming: SegmentSet) -> None:
    """As `Stage.publish` does, without the journal and the playlists."""
    tables = (stage.sessions, stage.variants)
    stage.rungs.prepare(coming, stage._shared.load())
    for table, granted in zip(tables, stage._share(tables, coming.msn), strict=True):
        table.fix(coming.msn, discontinuity=False, shares=granted)


def ticks_ms(sessions: int) -> list[float]:
    """Of one channel's decision each, while the budget moves and connections come and go."""
    rng = random.Random(1)
    directory, stages, clock = server(sessions, rng)
    times = []
    for tick in range(_TICKS):
        stage = stages[tick % _CHANNELS]
        directory.egress_budget_bps = sessions * _SESSION_BPS * rng.uniform(0.6, 1.2)
        for found in rng.sample(list(stage.sessions), 10):
            stage.sessions.set_ceiling(found.session, rng.randrange(len(RUNGS)))
        clock.advance(2.0 / _CHANNELS)
        coming = segments(stage)
        began = time.thread_time()
        decide(stage, coming)
        times.append(1000.0 * (time.thread_time() - began))
        stage.window.publish(coming)
    return times


def main() -> None:
    for sessions in (1000, 10_000):
        times = ticks_ms(sessions)
        quantile = statistics.quantiles(times, n=20)[-1]
        print(
            f"{sessions} sessions on {_CHANNELS} channels: a tick {statistics.median(times):.2f} ms"
            f" median, {quantile:.2f} ms p95, {max(times):.2f} ms at most"
        )
        if sessions == 1000:
            print("bar: 5 ms", "met" if max(times) < BAR_MS else "MISSED")


if __name__ == "__main__":
    main()
