"""What is noted of a run, step by step, and what it comes to. Pure."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simulation.playback import PLAYING, STALLED, Mask
from simulation.result import Result, Series, Totals
from simulation.scenario import Scenario
from simulation.servers import SimulatedServer
from simulation.viewers import Population


@dataclass(frozen=True, slots=True)
class Look:
    """What measures need to know of one step. Vectors have an entry for each place of servers."""

    now_s: float
    wanted_bps: Series
    sent_bps: Series
    capacity_bps: Series
    coming: int


class Measures:
    """Notes."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._at_s: list[float] = []
        self._series: dict[str, list[float]] = defaultdict(list)
        self._starts = Starts()
        self._relays_peak = 0
        self._watched = self._worth = 0.0

    def note(
        self, look: Look, populations: Sequence[Population], servers: Sequence[SimulatedServer]
    ) -> None:
        """One step has passed."""
        self._at_s.append(look.now_s)
        note = self._note
        viewers = stalled = 0
        regions: dict[str, int] = {}
        rungs: dict[str, int] = {
            rung.rung: 0 for channel in self._scenario.channels for rung in channel.ladder
        }
        wanted_bps = playing = worth = 0.0
        for population in populations:
            ladder, count = population.ladder, len(population)
            viewers += count
            regions[population.region] = regions.get(population.region, 0) + count
            stalled += int(population.counts[..., STALLED].sum())
            wanted_bps += count * ladder.average_bps[0]
            for rung, number in zip(ladder.rungs, population.by_rung.sum(axis=0), strict=True):
                rungs[rung] += int(number)
            axes = (0, 1, 3) if not population.governed else (0, 2, 3)
            watching = population.counts.sum(axis=axes)[:, PLAYING]
            playing += float(watching.sum())
            worth += float(watching @ np.array(ladder.vmaf))
        over = look.wanted_bps > look.capacity_bps * (1 + 1e-6)
        over[0] = False
        serving = [s for s in servers if s.place.role == "relay" and s.takes_viewers]
        self._relays_peak = max(self._relays_peak, len(serving))
        self._watched += playing
        self._worth += worth
        note("viewers", viewers)
        note("stalled", stalled)
        note("egress_bps", float(look.sent_bps.sum()))
        note("wanted_bps", wanted_bps)
        note("relays_serving", len(serving))
        note("relays_coming", look.coming)
        note("overloaded_servers", int(over.sum()))
        note("vmaf", worth / playing if playing else float("nan"))
        for region in self._scenario.regions:
            note(f"viewers.{region}", regions.get(region, 0))
        for rung, number in rungs.items():
            note(f"rung.{rung}", number)
        self._starts.look(populations, servers, over)

    def _note(self, name: str, value: float) -> None:
        self._series[name].append(value)

    def result(
        self,
        populations: Sequence[Population],
        relay_s: float,
        relays_started: int,
        decisions: Sequence[Mapping[str, Any]],
    ) -> Result:
        """What it came to."""
        scenario, step_s = self._scenario, self._scenario.step_s
        series = {name: np.array(values) for name, values in self._series.items()}
        tallies = [population.tally for population in populations]
        startups = [part for tally in tallies for part in tally.startups_s]
        startups_s = np.concatenate(startups) if startups else np.array([np.nan])
        hours = series["viewers"].sum() * step_s / 3600
        gigabytes = series["egress_bps"].sum() * step_s / 8e9
        relay_hours = relay_s / 3600
        never = sum(p.never_saw(self._at_s[-1] + step_s) for p in populations)
        switches = sum(tally.switches for tally in tallies)
        totals = Totals(
            viewers=sum(tally.came for tally in tallies),
            viewers_peak=int(series["viewers"].max()),
            viewer_minutes=float(hours * 60),
            stall_minutes=sum(tally.stall_s for tally in tallies) / 60,
            startup_s_median=float(np.median(startups_s)),
            failed=sum(tally.failed for tally in tallies) + never,
            overload_minutes=float((series["overloaded_servers"] > 0).sum() * step_s / 60),
            relay_hours=relay_hours,
            gigabytes=float(gigabytes),
            cost=float(
                relay_hours * scenario.price_per_relay_hour + gigabytes * scenario.price_per_gb
            ),
            vmaf_mean=self._worth / self._watched if self._watched else float("nan"),
            switches_per_viewer_hour=float(switches / hours) if hours else 0.0,
            relays_started=relays_started,
            relays_peak=self._relays_peak,
            late_starts=len(self._starts.late),
            idle_starts=self._starts.idle,
        )
        at_s = np.array(self._at_s)
        digest = _digest(totals, at_s, series, decisions)
        return Result(
            scenario.name,
            scenario.policy,
            scenario.seed,
            totals,
            at_s,
            series,
            tuple(decisions),
            digest,
        )


class Starts:
    """Which relays came too late, and which were never needed."""

    def __init__(self) -> None:
        self.late: set[str] = set()
        self._seen: set[str] = set()
        self._needed: set[str] = set()
        self._short: set[str] = set()
        """Regions that were overloaded since a relay of theirs served last for the first time."""

    @property
    def idle(self) -> int:
        return len(self._seen - self._needed)

    def look(
        self, populations: Sequence[Population], servers: Sequence[SimulatedServer], over: Mask
    ) -> None:
        wanted_bps: dict[str, float] = {}
        for population in populations:
            region, bps = population.region, len(population) * population.ladder.average_bps[0]
            wanted_bps[region] = wanted_bps.get(region, 0.0) + bps
            there = population.by_rung.sum(axis=1)
            if (there[over[: len(there)]] > 0).any():
                self._short.add(region)
        serving = [s for s in servers if s.takes_viewers]
        origins = [s for s in serving if s.place.role == "origin"]
        origins_bps = sum(s.governor.own_budget_bps or 0.0 for s in origins)
        carried_bps = dict.fromkeys(wanted_bps, origins_bps)
        for server in serving:
            name, region = server.place.id, server.place.region
            if server.place.role == "origin":
                continue
            if name not in self._seen:
                self._seen.add(name)
                if region in self._short:
                    self.late.add(name)
                    self._short.discard(region)
            if wanted_bps.get(region, 0.0) > carried_bps.get(region, 0.0):
                self._needed.add(name)
            own_bps = server.governor.own_budget_bps or 0.0
            carried_bps[region] = carried_bps.get(region, 0.0) + own_bps


def _digest(
    totals: Totals, at_s: Series, series: Mapping[str, Series], decisions: Sequence[Any]
) -> str:
    found = hashlib.blake2b(digest_size=16)
    found.update(json.dumps([asdict(totals), decisions], sort_keys=True, default=str).encode())
    for name, values in sorted({"": at_s, **series}.items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
