"""The digital twin: a scenario in, what came of it out. Pure, and the same for the same seed.

Time goes in steps of `step_s`. In each, viewers come, go and move; the governors of all servers
decide on rungs; servers share what they can send; viewers download and play. Meanwhile, at the
pace of its process, the production `Manager` gets the reports of servers and decides.
"""

from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from player.swarm.links import traced
from player.swarm.traces import networks_of
from simulation.access import Bank, bank, steady
from simulation.control import ORIGIN, ControlPlane
from simulation.crowds import Audience, truth
from simulation.measures import Look, Measures
from simulation.placement import Placement
from simulation.policies import Autoscaler, Oracle
from simulation.result import Result
from simulation.rungs import Rungs
from simulation.scenario import Scenario, SimulatedChannel
from simulation.segments import ratios
from simulation.servers import Flow
from simulation.sharing import Askers, levels
from simulation.viewers import NOWHERE, WINDOW_SEGMENTS, Ladder, Moment, Picked, Population
from surgecast.delivery.settings import AdaptationSettings
from surgecast.errors import ConfigError
from traffic_manager.manager import ForecastsLike, PolicyLike
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.record.records import DecisionRecord

_BEFORE_S = 2.0
"""The manager has had so long to settle, beyond its own `settle_s`, when the first viewer comes."""
_JOINING_S = 0.1
"""From the wish to watch until the first segment is asked for."""
_FAILOVER_S = 0.25
_FEED_SHARE_MAX = 0.9
_WARMING_SHARE = 0.05
"""Of what the origin can send, relays that warm get so much even where viewers want it all."""


class Watcher(Protocol):
    """Sees everything, for tests; changes nothing."""

    def moved(self, population: Population, who: Picked, why: str) -> None: ...

    def stepped(self, world: "World") -> None: ...


def run(scenario: Scenario) -> Result:
    """Simulate. Raises ConfigError for curves, traces or manager settings that make no sense."""
    world = World(scenario)
    while not world.over:
        world.step()
    return world.result()


class World:
    """Everything there is, at one moment."""

    def __init__(self, scenario: Scenario, watcher: Watcher | None = None) -> None:
        self.scenario = scenario
        self.watcher = watcher
        self.now_s = 0.0
        self.dice = np.random.default_rng(scenario.seed)
        self.ladders = {channel.channel: _ladder(channel) for channel in scenario.channels}
        self.settings = _settings(scenario)
        before_s = self.settings.settle_s + _BEFORE_S
        self.control = ControlPlane(
            scenario, self.settings, self.ladders, self._made, self.dice, -before_s
        )
        self.placement = Placement(self.control, self.dice)
        self.audiences = self._audiences()
        self.populations = [p for audience in self.audiences for p in audience.populations]
        self.rungs = Rungs(self.ladders, self.control, self.populations)
        self.measures = Measures(scenario)
        self.wanted_bps = self.sent_bps = self.capacity_bps = np.zeros(1)
        self._ratios = {
            name: ratios(self.dice, ladder.peak_bps[0] / ladder.average_bps[0])
            for name, ladder in self.ladders.items()
        }
        self._decisions: dict[str, dict[str, Any]] = {}
        self._relay_s = 0.0
        self._fed: set[str] = set()
        self._unfed_bits = 0.0
        self.control.pass_time(0.0, self.populations)

    @property
    def over(self) -> bool:
        return self.now_s >= self.scenario.duration_s

    def _made(self, settings: ManagerSettings) -> tuple[PolicyLike | None, ForecastsLike | None]:
        if self.scenario.policy == "hpa":
            return Autoscaler(settings.policy), None
        if self.scenario.policy == "oracle":
            return None, _oracle(self.scenario, list(self.ladders.values()))
        return None, None

    def _audiences(self) -> list[Audience]:
        banks = {name: _bank(self.scenario, name) for name in self.scenario.regions}
        spacing = AdaptationSettings().switch_spacing_segments
        return [
            Audience(f"{n}.{c.region}", c, self.ladders[c.channel], banks[c.region], spacing)
            for n, c in enumerate(self.scenario.crowds)
        ]

    # One step.

    def step(self) -> None:
        """Let `step_s` pass."""
        now_s, step_s = self.now_s, self.scenario.step_s
        self.placement.look(now_s)
        for audience in self.audiences:
            audience.follow(now_s, step_s, self.dice)
        self._leave_dead_servers()
        for population in self.populations:
            self._find_servers(population)
            self._move(population)
        slots = len(self.control.slots)
        for population in self.populations:
            population.count(slots)
        self._bury()
        moments = {name: self._moment(name) for name in self.ladders}
        newest = {name: self._newest(name) for name in self.ladders}
        deciding = frozenset(name for name, moment in moments.items() if moment.published)
        self.rungs.decide(deciding, newest, now_s)
        self._transfer(moments)
        self.now_s = now_s + step_s
        self.control.pass_time(self.now_s, self.populations)
        self._note(now_s)
        if self.watcher is not None:
            self.watcher.stepped(self)

    def _moment(self, channel: str) -> Moment:
        segment_s, step_s = self.ladders[channel].segment_s, self.scenario.step_s
        head = int(self.now_s / segment_s + 1e-9)
        before = int((self.now_s - step_s) / segment_s + 1e-9) if self.now_s > 0 else head
        row = self._ratios[channel]
        return Moment(self.now_s, step_s, head - before, float(row[head % len(row)]))

    def _newest(self, channel: str) -> list[float]:
        """Sizes of the last segments over the average."""
        row, head = self._ratios[channel], int(self.now_s / self.ladders[channel].segment_s + 1e-9)
        return [float(row[(head - back) % len(row)]) for back in range(4)]

    # Who is where.

    def is_cut(self, region: str) -> bool:
        """Whether viewers of a region reach no server now."""
        cuts = self.control.faults.active("region_cut", self.now_s)
        return any(fault.region in (None, region) for fault in cuts)

    def _leave_dead_servers(self) -> None:
        """Viewers notice when they next ask for something; the less is buffered, the sooner."""
        for population in self.populations:
            if not self.control.dead:
                return
            who = population.at(*self.control.dead)
            if not len(who):
                continue
            latest_s = np.minimum(population.buffered_s[who] / 2, population.ladder.segment_s)
            delay_s = np.minimum(_FAILOVER_S, population.buffered_s[who] / 4)
            delay_s += latest_s * self.dice.random(len(who))
            population.lose(who, (self.now_s + delay_s).astype(np.float32))
            self._tell(population, who, "lost")

    def _bury(self) -> None:
        """Places of servers that are gone can be given to others when nobody is there."""
        there = np.zeros(len(self.control.slots), dtype=np.intp)
        for population in self.populations:
            there += population.by_rung.sum(axis=1)
        self.control.dead = [slot for slot in self.control.dead if there[slot]]

    def _find_servers(self, population: Population) -> None:
        who = population.at(NOWHERE)
        who = who[population.ready_s[who] < self.now_s + self.scenario.step_s]
        if not len(who):
            return
        if self.is_cut(population.region):
            self._try_later(population, who)
            return
        fresh = population.state[who] == 0
        fresh &= population.behind[who] == 0
        if fresh.any():
            self._seat(population, who[fresh])
        if not fresh.all():
            self._fail_over(population, who[~fresh])

    def _seat(self, population: Population, who: Picked) -> None:
        channel, slots, rungs = population.ladder.channel, [0], [0]
        counts, believed_slow = [0], [False]
        for slot, count in self.placement.seats(channel, population.region, len(who)):
            server = self.control.slots[slot]
            assert server is not None
            server.created[channel] += count
            for rung, number, slow in self.rungs.admit(server, population, count):
                slots.append(slot)
                rungs.append(rung)
                counts.append(number)
                believed_slow.append(slow)
        seated = who[: sum(counts)]
        population.seat(
            seated,
            np.repeat(np.array(slots, dtype=np.int16), counts),
            np.repeat(np.array(rungs, dtype=np.int8), counts),
            slow=np.repeat(believed_slow, counts),
        )
        population.ready_s[seated] += _JOINING_S
        self._try_later(population, who[len(seated) :])

    def _fail_over(self, population: Population, who: Picked) -> None:
        """Players go to another server that they know of."""
        places = self.placement.elsewhere(population.region)
        if not places:
            self._try_later(population, who)
            return
        chosen = self.dice.choice(np.array(places, dtype=np.int16), len(who))
        population.move(who, chosen)
        self._tell(population, who, "failed over")

    def _try_later(self, population: Population, who: Picked) -> None:
        population.ready_s[who] += self.settings.join.retry_after_s
        population.tries[who] = np.minimum(population.tries[who] + 1, 100)

    def _move(self, population: Population) -> None:
        """Steering, and sessions that are handed over."""
        ladder = population.ladder
        if self.is_cut(population.region):
            return
        step_s = self.scenario.step_s
        for leaving in self.placement.leaving(
            ladder.channel, population.region, step_s, ladder.segment_s
        ):
            here = population.at(leaving.slot)
            who = here[self.dice.random(len(here)) < leaving.share]
            if not len(who):
                continue
            weights = leaving.weights / leaving.weights.sum()
            to = self.dice.choice(leaving.to, len(who), p=weights)
            population.move(who, to)
            counts = dict(enumerate(np.bincount(to).tolist()))
            self.placement.take_room(ladder.channel, {s: n for s, n in counts.items() if n})
            self._tell(population, who, leaving.why)

    def _tell(self, population: Population, who: Picked, why: str) -> None:
        if self.watcher is not None:
            self.watcher.moved(population, who, why)

    # What is sent.

    def _transfer(self, moments: dict[str, Moment]) -> None:
        slots, step_s = self.control.slots, self.scenario.step_s
        fed_bps, pulled_bps = self._feeds(moments)
        capacity = np.array([0.0 if s is None else s.place.capacity_bps for s in slots])
        serves = np.array([s is not None and s.serves for s in slots])
        self.capacity_bps = np.where(serves, capacity, 0.0)
        room_bps = self.capacity_bps.copy()
        room_bps[ORIGIN] -= fed_bps
        heads = np.zeros(len(slots))
        asking: list[Askers] = []
        by_channel = {name: np.zeros(len(slots)) for name in self.ladders}
        for population in self.populations:
            moment = moments[population.ladder.channel]
            cut = self.is_cut(population.region)
            population.ask(moment, cut=cut)
            heads += population.by_rung.sum(axis=1)
            asking.append((population.server, population.demand_bps))
            if not cut:
                by_channel[population.ladder.channel] += population.wanted_bps(moment)
        wanted = sum(by_channel.values(), np.zeros(len(slots)))
        wanted[NOWHERE] = 0.0
        level, sent = levels(asking, wanted, room_bps, heads)
        free = np.maximum(0.0, room_bps - wanted).astype(np.float32)
        for population in self.populations:
            moment = moments[population.ladder.channel]
            cut = self.is_cut(population.region)
            population.play(moment, free, level.astype(np.float32), cut=cut)
        self.wanted_bps, self.sent_bps = wanted, sent
        for slot, server in enumerate(slots):
            if server is None:
                continue
            part = sent[slot] / wanted[slot] if wanted[slot] else 0.0
            channels = {name: float(bps[slot] * part) for name, bps in by_channel.items()}
            is_origin = server.place.role == "origin"
            pulled = pulled_bps if server.pulls else 0.0
            server.flows(Flow(channels, fed_bps if is_origin else 0.0, pulled), self.now_s)
        self._relay_s += step_s * sum(s is not None and s.life is not None for s in slots)

    def _feeds(self, moments: dict[str, Moment]) -> tuple[float, float]:
        """What the origin sends to all relays, and what each pulls: every rung of what is new,
        before viewers are served, and once the whole window, of what viewers leave over."""
        step_s = self.scenario.step_s
        newest = sum(
            sum(ladder.average_bps) * ladder.segment_s * moment.ratio * moment.published
            for ladder, moment in zip(self.ladders.values(), moments.values(), strict=True)
        )
        window = WINDOW_SEGMENTS * sum(
            sum(ladder.average_bps) * ladder.segment_s for ladder in self.ladders.values()
        )
        pulling = {s.place.id for s in self.control.servers if s.pulls}
        self._unfed_bits += len(pulling - self._fed) * window
        self._fed = pulling
        capacity_bps = self.scenario.origin.capacity_bps
        new_bps = len(pulling) * newest / step_s
        wanted_bps = self.wanted_bps[ORIGIN] if len(self.wanted_bps) > ORIGIN else 0.0
        left_bps = max(_WARMING_SHARE * capacity_bps, capacity_bps - new_bps - wanted_bps)
        warming_bps = min(self._unfed_bits / step_s, left_bps)
        self._unfed_bits -= warming_bps * step_s
        fed_bps = min(_FEED_SHARE_MAX * capacity_bps, new_bps + warming_bps)
        return fed_bps, newest / step_s

    # What is noted.

    def _note(self, now_s: float) -> None:
        for record in self.control.records():
            if isinstance(record, DecisionRecord):
                self._decisions[record.id] = asdict(record)
        look = Look(now_s, self.wanted_bps, self.sent_bps, self.capacity_bps, self.control.coming)
        self.measures.note(look, self.populations, self.control.servers)

    def result(self) -> Result:
        """What came of it so far."""
        manager = self.control.manager
        if manager is not None:
            for record in manager.logbook.decisions():
                self._decisions[record.id] = asdict(record)
        started, decisions = self.control.relays_started, list(self._decisions.values())
        return self.measures.result(self.populations, self._relay_s, started, decisions)


def _ladder(channel: SimulatedChannel) -> Ladder:
    rungs = sorted(channel.ladder, key=lambda rung: -rung.average_bps)
    return Ladder(
        channel.channel,
        tuple(rung.rung for rung in rungs),
        tuple(float(rung.average_bps) for rung in rungs),
        tuple(float(rung.peak_bps or 1.25 * rung.average_bps) for rung in rungs),
        tuple(rung.vmaf for rung in rungs),
        float(channel.segment_duration_s),
    )


def _bank(scenario: Scenario, region: str) -> Bank:
    place = scenario.regions[region]
    if place.access is None:
        return steady(float(place.access_bps))
    links = [traced(samples) for samples in networks_of(place.access)]
    return bank(links, scenario.step_s)


def _settings(scenario: Scenario) -> ManagerSettings:
    """The manager's, with what the scenario says of servers and regions where it says nothing."""
    given: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in scenario.manager.items()
    }
    policy = given.setdefault("policy", {})
    policy.setdefault("capacity_default_bps", scenario.relays.capacity_bps)
    policy.setdefault("utilisation_target", scenario.relays.utilisation_target)
    homes = (*scenario.regions, scenario.origin.region, scenario.relays.region)
    given.setdefault("regions", {}).setdefault("names", tuple(dict.fromkeys(homes)))
    if scenario.policy == "reactive":
        given.setdefault("forecasting", {})["kind"] = "reactive"
    if scenario.policy == "setpoint":
        policy.pop("prices", None)
    try:
        return ManagerSettings.model_validate(given)
    except ValidationError as error:
        wrong = [f"manager.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(wrong)) from error


def _oracle(scenario: Scenario, ladders: list[Ladder]) -> Oracle:
    curves = {region: truth(scenario.crowds, ladders, region) for region in scenario.regions}

    def wanted_bps(region: str, at_s: float) -> float:
        return sum(crowd.curve.at(at_s) * bps for crowd, bps in curves[region])

    return Oracle(wanted_bps, scenario.regions)
