"""A flash crowd 90 s after the first viewer, with no history: are relays ready before overload?

The manager as it is runs in this process on reports of an origin and of relays that do not exist,
under a clock of its own. Each seed draws a crowd (its height, how fast and in what shape it comes,
how it scatters), the phase of reports, and how long each relay takes. Printed are, for each kind of
forecast on the same seeds: the share of seeds in which the first relay served before the origin
alone was asked for more than its capacity (the bar: 90 %), the share without any overload of all
servers together, how long that lasted, and relay-minutes. `at once` orders all relays when the
crowd begins, which nobody can: what the relays' own start-up leaves possible. Calm seeds, in which
a crowd comes that the origin carries, show what was started for nothing.

    python -m bench.cold_start [--seeds 200] [--kinds reactive,hedge] [--bar hedge] [--json]
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from surgecast.control.messages import ChannelReport, RungReport, ServerReport
from traffic_manager.manager import Manager, Order, Start
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.provisioners.base import Instance

BAR = 0.9
AT_ONCE = "at once"
CROWD_AT_S = 90.0
"""From the first viewer to the crowd."""
_BEFORE_S = 10.0
_AFTER_S = 60.0
_TICK_S = 0.5
_STAY_S = 900.0
_UTC = 1.8e9
_RATE_BPS = 2e6
_REGION = "east"
_LADDER = [
    RungReport(rung="720p", peak_bps=1.25 * _RATE_BPS, average_bps=_RATE_BPS),
    RungReport(rung="240p", peak_bps=0.5e6, average_bps=0.4e6),
]


@dataclass(frozen=True, slots=True)
class Crowd:
    """One seed. Audiences are in shares of what the origin can carry."""

    seed: int
    capacity_viewers: float
    before: float
    """Of the audience that is there when the crowd begins."""
    height: float
    over_s: float
    shape: str
    report_phase_s: float

    def wanted(self, t_s: float) -> float:
        """The expected audience `t_s` after the first viewer."""
        if t_s <= 0:
            return 0.0
        if t_s < CROWD_AT_S:
            return self.before * t_s / CROWD_AT_S
        part = (t_s - CROWD_AT_S) / self.over_s
        return self.before + (self.height - self.before) * _risen(self.shape, part)


def _risen(shape: str, part: float) -> float:
    """What share of a crowd is there after `part` of its time."""
    if shape == "line":
        return min(part, 1.0)
    if shape == "saturating":
        return 1 - math.exp(-3 * part)
    low = 1 / (1 + math.exp(5))
    return (1 / (1 + math.exp(5 - 10 * part)) - low) / (1 - low)


def drawn(seed: int, calm: bool) -> Crowd:
    chance = np.random.default_rng([seed, calm])
    height = chance.uniform(0.15, 0.5) if calm else chance.uniform(2.0, 5.0)
    return Crowd(
        seed,
        capacity_viewers=math.exp(chance.uniform(math.log(50), math.log(2000))),
        before=chance.uniform(0.02, 0.15),
        height=height,
        over_s=math.exp(chance.uniform(math.log(30), math.log(120))),
        shape=str(chance.choice(["line", "saturating", "sigmoid"])),
        report_phase_s=chance.uniform(0, 1),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed."""

    ahead_s: float
    """From the first relay that served until the origin alone had too many; negative: late."""
    overloaded_s: float
    relay_minutes: float
    relays: int


class World:
    """One manager and its fleet, step by step."""

    def __init__(self, crowd: Crowd, kind: str) -> None:
        self.crowd = crowd
        self.at_once = kind == AT_ONCE
        self.chance = np.random.default_rng([crowd.seed, 7])
        self.capacity_bps = round(crowd.capacity_viewers * _RATE_BPS)
        self.t_s = -_BEFORE_S
        self.viewers, self.joined, self.sequence, self.named = 0, 0, 0, 0
        self.relays: dict[str, float] = {}
        """When each serves, seconds after the first viewer."""
        settings = ManagerSettings.model_validate(
            {
                "regions": {"names": [_REGION]},
                "policy": {"capacity_default_bps": self.capacity_bps},
                "forecasting": {"kind": "reactive" if self.at_once else kind},
                "history": {"url": None},
            }
        )
        self.manager = Manager(settings, boot="b", name=self._name, now_s=self.t_s)

    def _name(self, region: str) -> str:
        self.named += 1
        return f"relay-{self.named}"

    def run(self) -> Outcome:
        crowd, first, over = self.crowd, math.inf, math.inf
        overloaded_s, relay_s = 0.0, 0.0
        due_s = self.t_s + crowd.report_phase_s
        while self.t_s < CROWD_AT_S + crowd.over_s + _AFTER_S:
            self.t_s += _TICK_S
            self._come_and_go()
            serving = sum(at <= self.t_s for at in self.relays.values())
            first = min(first, self.t_s) if serving else first
            if self.viewers > crowd.capacity_viewers:
                over = min(over, self.t_s)
            overloaded_s += _TICK_S * (self.viewers > crowd.capacity_viewers * (1 + serving))
            relay_s += _TICK_S * len(self.relays)
            while due_s <= self.t_s:
                self._report()
                due_s += 1.0
            for order in self._orders():
                self._start(order)
        ahead_s = over - first if over < math.inf else math.inf
        return Outcome(ahead_s, overloaded_s, relay_s / 60, len(self.relays))

    def _come_and_go(self) -> None:
        here = self.crowd.capacity_viewers * self.crowd.wanted(self.t_s - _TICK_S)
        then = self.crowd.capacity_viewers * self.crowd.wanted(self.t_s)
        leaving = min(self.viewers, int(self.chance.poisson(here * _TICK_S / _STAY_S)))
        come = int(self.chance.poisson(then - here + here * _TICK_S / _STAY_S))
        self.viewers += come - leaving
        self.joined += come

    def _orders(self) -> Sequence[Order]:
        if not self.at_once:
            return self.manager.tick(self.t_s, _UTC + self.t_s)
        if self.t_s == CROWD_AT_S:
            for _ in range(math.ceil(self.crowd.height)):
                self.relays[self._name(_REGION)] = self._ready_s()
        return []

    def _start(self, order: Order) -> None:
        if isinstance(order, Start):
            relay = order.order.server
            self.relays[relay] = self._ready_s()
            instance = Instance(relay, True, f"http://{relay}.example:8100")
            self.manager.started(instance, self.t_s, _UTC + self.t_s)

    def _ready_s(self) -> float:
        return self.t_s + float(self.chance.uniform(0.8, 5.0))

    def _report(self) -> None:
        """Each server has its share of the viewers and of those who joined."""
        self.sequence += 1
        serving = ["origin", *(name for name, at in self.relays.items() if at <= self.t_s)]
        rest, joined = self.viewers, self.joined
        for place, server in enumerate(serving):
            left = len(serving) - place
            self._report_of(server, rest // left, joined // left)
            rest, joined = rest - rest // left, joined - joined // left

    def _report_of(self, server: str, viewers: int, joined: int) -> None:
        channel = ChannelReport(
            channel="demo",
            ready=True,
            next_msn=20,
            target_duration_s=2.0,
            ladder=_LADDER,
            viewers={_REGION: viewers},
            sessions_created=joined,
            egress_bps=min(viewers * _RATE_BPS, self.capacity_bps),
        )
        report = ServerReport(
            server=server,
            role="origin" if server == "origin" else "relay",
            url=f"http://{server}.example:8100",
            region=_REGION,
            boot="boot",
            sequence=self.sequence,
            sent_at_utc=_UTC + self.t_s,
            uptime_s=self.t_s + 2 * _BEFORE_S,
            state="serving",
            capacity_bps=self.capacity_bps,
            budget_bps=self.capacity_bps * 0.85,
            egress_bps=channel.egress_bps,
            channels=[channel],
        )
        self.manager.report(report, self.t_s, _UTC + self.t_s)


def told(kind: str, flash: Sequence[Outcome], calm: Sequence[Outcome]) -> dict[str, Any]:
    count = len(flash)
    return {
        "kind": kind,
        "seeds": count,
        "ready_before_overload": sum(o.ahead_s >= 0 for o in flash) / count,
        "ahead_s_median": statistics.median(o.ahead_s for o in flash),
        "never_overloaded": sum(o.overloaded_s == 0 for o in flash) / count,
        "overloaded_s_mean": statistics.fmean(o.overloaded_s for o in flash),
        "relay_minutes_mean": statistics.fmean(o.relay_minutes for o in flash),
        "calm_seeds_with_a_relay": sum(o.relays > 0 for o in calm) / count,
    }


def line(figures: dict[str, Any]) -> str:
    return (
        f"{figures['kind']:>14}  ready before overload {figures['ready_before_overload']:6.1%}"
        f"  ({figures['ahead_s_median']:+5.1f} s)"
        f"  never overloaded {figures['never_overloaded']:6.1%}"
        f"  {figures['overloaded_s_mean']:5.2f} s"
        f"  relay-minutes {figures['relay_minutes_mean']:5.2f}"
        f"  for nothing {figures['calm_seeds_with_a_relay']:6.1%}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--kinds", default=f"reactive,hedge,{AT_ONCE}")
    parser.add_argument("--bar", default="hedge", help="the kind that is judged")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--late", action="store_true", help="list the seeds that were late")
    chosen = parser.parse_args()
    found = []
    for kind in chosen.kinds.split(","):
        flash = [World(drawn(seed, False), kind).run() for seed in range(chosen.seeds)]
        calm = [World(drawn(seed, True), kind).run() for seed in range(chosen.seeds)]
        found.append(told(kind, flash, calm))
        if not chosen.json:
            print(line(found[-1]), flush=True)
        if chosen.late:
            for seed, outcome in enumerate(flash):
                if outcome.ahead_s < 0:
                    print(outcome, asdict(drawn(seed, False)))
    if chosen.json:
        print(json.dumps(found))
    judged = [one for one in found if one["kind"] == chosen.bar]
    return int(any(one["ready_before_overload"] < BAR for one in judged))


if __name__ == "__main__":
    sys.exit(main())
