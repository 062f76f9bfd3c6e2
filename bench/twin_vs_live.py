"""The digital twin against the real system: one scripted crowd, live and simulated.

    python -m bench.twin_vs_live [--full] [--runs 3] [--seeds 9] [--plot FILE] [--json FILE]

Live is the crowd of tests/integration/test_flash_crowd.py: a real origin, a real manager that
starts real relays, a swarm of real connections. The twin gets the same curve and the same settings,
and of the live system what a scenario has of any: the rates of the ladder, from the origin's
playlist, and how long relays take to start, from the manager's measurements. A live crowd begins at
any moment between two looks of the manager, and so it does in the twin. Compared are viewers,
egress, how viewer-seconds are shared among rungs, and when the relay is ordered and serves. The bar
is 10 %. It needs a machine that is otherwise quiet.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from player.swarm.arrivals import Leave
from player.swarm.words import crowd_of
from simulation.result import Result
from simulation.scenario import Scenario
from simulation.studies import files, pictures
from simulation.studies.variation import scenario_for
from simulation.world import World
from surgecast.hls.parse import parse_multivariant
from tests.integration.test_flash_crowd import FULL, FULL_SIZES, SMALL, SMALL_SIZES, Crowd
from tests.support.fleet_worlds import Sizes, world
from tests.support.fleet_worlds import World as LiveWorld
from tests.support.swarms import swarm

BAR = 0.10
_UTC_OF_THE_TWIN = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class Told:
    """One run of either. Seconds are those since the crowd began to rise."""

    at_s: list[float]
    viewers: list[float]
    egress_bps: list[float]
    """What viewers get."""
    rungs: dict[str, list[float]]
    """Viewers by what is on their screens."""
    ordered_s: float
    """When the first relay was asked for."""
    serving_s: float
    starts_s: list[float]
    """From the order until it served, of each relay."""
    ladder: dict[str, tuple[int, int]]
    """Rung: average and peak rate in bit/s."""

    def figures(self) -> dict[str, float]:
        """What is compared."""
        seconds = np.gradient(np.array(self.at_s))
        watched = {rung: float(np.sum(seconds * counts)) for rung, counts in self.rungs.items()}
        whole = sum(watched.values())
        shares = {f"share of {rung}": part / whole for rung, part in sorted(watched.items())}
        return {
            "viewer-minutes": float(np.sum(seconds * self.viewers)) / 60,
            "viewers at the peak": max(self.viewers),
            "egress, MB": float(np.sum(seconds * self.egress_bps)) / 8e6,
            "relay ordered, s": self.ordered_s,
            "relay serves, s": self.serving_s,
            "order to serving, s": self.serving_s - self.ordered_s,
            **shares,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="400 viewers, two minutes")
    parser.add_argument("--runs", type=int, default=3, help="live, one after the other")
    parser.add_argument("--seeds", type=int, default=101, help="of the twin")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--live", type=Path, help="live runs that --json wrote before: none is made"
    )
    args = parser.parse_args()
    crowd, sizes = (FULL, FULL_SIZES) if args.full else (SMALL, SMALL_SIZES)
    if args.live:
        live = [Told(**told) for told in json.loads(args.live.read_text())["live"]]
    else:
        live = [asyncio.run(one_live(crowd, sizes)) for _ in range(args.runs)]
    name = "crowd_full" if args.full else "crowd_small"
    scenarios = [twin_of(name, live, seed) for seed in range(1, args.seeds + 1)]
    twin = [told_twin(scenario) for scenario in scenarios]
    compare(live, twin)
    if args.json:
        told = {"live": [asdict(t) for t in live], "twin": [asdict(t) for t in twin]}
        args.json.write_text(json.dumps(told))
    if args.plot:
        draw(live, twin, args.plot)


# Live.


async def one_live(crowd: Crowd, sizes: Sizes) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), sizes) as running:
            return await told_live(running, crowd)


async def told_live(running: LiveWorld, crowd: Crowd) -> Told:
    """Let the crowd come and go."""
    ladder = await ladder_of(running)
    url = running.watch_url()
    seconds = str(crowd.seconds)
    async with swarm(url, "--arrivals", crowd.curve, "--seconds", seconds) as viewers:
        relay = await running.relay_in("serving")
        _, found = await running.manager.json("/api/v1/decisions?limit=1000")
        await viewers.ended(crowd.seconds + 60)
        moments = viewers.moments
    began_utc = moments[0]["utc"] - moments[0]["t_s"] + crowd.before_s
    starts = [d["at_utc"] for d in found["decisions"] if d["action"] == "start"]
    ordered_s = min(starts) - began_utc
    took_s = float(relay["serving_after_s"])
    times = [moment["t_s"] - crowd.before_s for moment in moments]
    received = [moment["received_bytes"] for moment in moments]
    return Told(
        times,
        [float(moment["present"]) for moment in moments],
        rates_bps(times, received),
        {rung: [float(m["rungs"].get(rung, 0)) for m in moments] for rung in ladder},
        ordered_s,
        ordered_s + took_s,
        [took_s],
        ladder,
    )


def rates_bps(times: Sequence[float], received: Sequence[int]) -> list[float]:
    """Since the moment before."""
    spans = np.diff(times, prepend=times[0] - 1)
    rates: list[float] = (8 * np.diff(received, prepend=received[0]) / spans).tolist()
    return rates


async def ladder_of(running: LiveWorld) -> dict[str, tuple[int, int]]:
    """As the origin tells players."""
    text = (await running.origin.ask("/live/a/index.m3u8"))[2].decode()
    variants = parse_multivariant(text).variants
    return {v.uri.split("/")[-2]: (v.average_bps or v.peak_bps, v.peak_bps) for v in variants}


# The twin.


def twin_of(name: str, live: Sequence[Told], seed: int) -> Scenario:
    """The packaged scenario with what was measured of the live system."""
    study = files.study(name)
    averages = {
        rung: [statistics.median(told.ladder[rung][i] for told in live) for i in range(2)]
        for rung in live[0].ladder
    }
    rungs = tuple(
        rung.model_copy(
            update={"average_bps": averages[rung.rung][0], "peak_bps": averages[rung.rung][1]}
        )
        for rung in study.channels[0].ladder
    )
    channel = study.channels[0].model_copy(update={"ladder": rungs})
    starts_s = tuple(start_s for told in live for start_s in told.starts_s)
    relays = study.relays.model_copy(update={"start_s": starts_s})
    changed = study.model_copy(update={"channels": (channel,), "relays": relays})
    return scenario_for(changed, "predictive", seed)


def begin_s(scenario: Scenario) -> float:
    """When the crowd begins to rise."""
    return crowd_of(scenario.crowds[0].arrivals, (Leave.FOLLOW, 1.0)).curve.points[1][0]


def told_twin(scenario: Scenario) -> Told:
    """How long the relay took is what the manager measured, as live."""
    world = World(scenario)
    while not world.over:
        world.step()
    manager = world.control.manager
    took_s = manager.start_times.serving_s if manager is not None else None
    assert took_s is not None, "no relay served"
    return of_twin(world.result(), begin_s(scenario), took_s)


def of_twin(result: Result, began_s: float, took_s: float) -> Told:
    """Each second, as the swarm tells: counts of that moment, bytes since the one before."""
    step_s = float(result.at_s[1] - result.at_s[0])
    every = round(1 / step_s)
    series = result.series
    rungs = {n.removeprefix("rung."): series[n] for n in series if n.startswith("rung.")}
    starts = [d["at_utc"] for d in result.decisions if d["action"] == "start"]
    ordered_s = min(starts) - _UTC_OF_THE_TWIN - began_s
    last = slice(every - 1, None, every)
    sent = series["egress_bps"][: len(result.at_s[last]) * every]
    return Told(
        (result.at_s[last] + step_s - began_s).tolist(),
        series["viewers"][last].tolist(),
        sent.reshape(-1, every).mean(axis=1).tolist(),
        {rung: values[last].tolist() for rung, values in rungs.items()},
        ordered_s,
        ordered_s + took_s,
        [took_s],
        {},
    )


# Side by side.


def compare(live: Sequence[Told], twin: Sequence[Told]) -> None:
    """Medians of both, what the live runs differ among themselves, and what the twin is off."""
    print(f"{'':22}{'live':>10}{'(range)':>20}{'twin':>10}{'off':>9}")
    for name in live[0].figures():
        ours, theirs = ([told.figures()[name] for told in side] for side in (live, twin))
        middle, guess = statistics.median(ours), statistics.median(theirs)
        off = deviation(name, middle, guess)
        spread = f"({min(ours):.2f} - {max(ours):.2f})"
        verdict = "" if abs(off) <= BAR else "  above the bar"
        print(f"{name:22}{middle:10.2f}{spread:>20}{guess:10.2f}{off:+9.1%}{verdict}")


def deviation(name: str, live: float, twin: float) -> float:
    """Of shares in points: a rung that hardly anybody had would make any figure of a ratio."""
    return twin - live if name.startswith("share") else (twin - live) / abs(live)


def draw(live: Sequence[Told], twin: Sequence[Told], path: Path) -> None:
    """Both over time: live in black, one line a run; the twin in blue."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    rungs = list(live[0].rungs)
    rows = figure.subplots(2 + len(rungs), 1, sharex=True)
    for told, colour, width in (
        *((t, "#0072b2", 0.8) for t in twin),
        *((t, "#222222", 1.2) for t in live),
    ):
        curves: Mapping[str, list[float]] = {
            "viewers": told.viewers,
            "egress to viewers, Mbit/s": [bps / 1e6 for bps in told.egress_bps],
            **{f"viewers on {rung}": told.rungs[rung] for rung in rungs},
        }
        for axes, (title, values) in zip(rows, curves.items(), strict=True):
            axes.plot(told.at_s, values, color=colour, linewidth=width, alpha=0.8)
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
            axes.axvline(told.serving_s, color=colour, linewidth=0.6, linestyle=":")
    for axes in rows:
        axes.set_ylim(bottom=0)
    rows[-1].set_xlabel("s since the crowd began; dotted: the relay serves")
    figure.suptitle("one scripted crowd: live (black) and in the twin (blue)")
    pictures.save(figure, path)


if __name__ == "__main__":
    main()
