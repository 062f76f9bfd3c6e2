"""A simulated server: what it sends, its governor, its reports, the directives it obeys. Pure.

The governor, what stands of directives and a relay's life are the production code; viewers are
counts by rung. A relay's feed is every rung once, as it is pulled from the origin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_relay.lifecycle import Life, Occupancy
from edge_relay.settings import LifeSettings
from simulation.viewers import Ladder, Population
from surgecast.control.messages import ChannelReport, Directive, RungReport, ServerReport, State
from surgecast.control.standing import Held, Own, Standing, accept, standing
from surgecast.delivery.adaptation.allocation import Offer, Split
from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.adaptation.governor import Crowd, Governor
from surgecast.delivery.adaptation.newcomers import believed
from surgecast.delivery.settings import EgressSettings
from traffic_manager.fleet import Role


@dataclass(frozen=True, slots=True)
class Place:
    """Who a server is."""

    id: str
    slot: int
    """Among the places that viewers can be at."""
    role: Role
    region: str
    capacity_bps: float
    utilisation_target: float

    @property
    def url(self) -> str:
        return f"http://{self.id}"


@dataclass(slots=True)
class Share:
    """Viewers who are alike to the governor, and what it decided: how many get which rung."""

    population: int
    held: int
    best: int
    takes: int
    """The highest rung they play, whatever they may."""
    alike: list[tuple[int, int]]
    """The groups of `Population.counts` they are: what stands second, and whether rested."""
    sessions: int = 0
    split: Split = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """What a server sends to viewers of each channel and to relays, and what it pulls itself."""

    channels_bps: Mapping[str, float] = field(default_factory=dict)
    fed_bps: float = 0.0
    pulled_bps: float = 0.0

    @property
    def sent_bps(self) -> float:
        return sum(self.channels_bps.values()) + self.fed_bps


class SimulatedServer:
    """One origin or relay; it runs from when it is made until `ended`."""

    def __init__(
        self, place: Place, ladders: Mapping[str, Ladder], report_every_s: float, now_s: float
    ) -> None:
        self.place = place
        egress = EgressSettings(
            capacity_bps=int(place.capacity_bps), utilisation_target=place.utilisation_target
        )
        self.governor = Governor(egress)
        self.life = Life(LifeSettings(), now_s) if place.role == "relay" else None
        self.ended = False
        self.viewers = 0
        self.created = dict.fromkeys(ladders, 0)
        self.first_viewer_s: float | None = None
        self.ready_after_s: float | None = None
        self.next_report_s = now_s
        self._ladders = ladders
        self._own = Own(
            place.id,
            place.url,
            place.region,
            place.role == "origin",
            report_every_s,
            self.governor.own_budget_bps,
        )
        self._held: Held | None = None
        self.stands: Standing = standing(self._own, None, self.state, now_s)
        """What is in force; looked at again with each look."""
        self._made_of: object = None
        self._began_s = now_s
        self._sequence = 0
        self._said: State | None = None
        self._sent_bits = self._pulled_bits = 0.0
        self._channel_bits = dict.fromkeys(ladders, 0.0)
        self._flow = Flow()
        self._counted_s = now_s
        self._sent = EgressMeter(egress.window_s)
        self._pulled = EgressMeter(egress.window_s)
        self._channels = {channel: EgressMeter() for channel in ladders}
        self._quiet_since_s = now_s

    # What it is.

    @property
    def state(self) -> State:
        return "serving" if self.life is None else self.life.reported

    @property
    def serves(self) -> bool:
        """Whether it answers viewers."""
        return not self.ended and self.state in ("serving", "draining")

    @property
    def takes_viewers(self) -> bool:
        return not self.ended and self.state == "serving"

    @property
    def pulls(self) -> bool:
        """Whether the origin feeds it."""
        return not self.ended and self.life is not None and self.state != "starting"

    @property
    def sent_bytes(self) -> int:
        return int(self._sent_bits / 8)

    # What happens to it.

    def flows(self, flow: Flow, now_s: float) -> None:
        """What it sends from now on."""
        self._count(now_s)
        self._flow = flow

    def _count(self, now_s: float) -> None:
        passed_s = now_s - self._counted_s
        self._counted_s = now_s
        for channel, bps in self._flow.channels_bps.items():
            self._channel_bits[channel] += bps * passed_s
        self._sent_bits += self._flow.sent_bps * passed_s
        self._pulled_bits += self._flow.pulled_bps * passed_s

    def look(self, now_s: float) -> None:
        """Time has passed: obey what stands, and live on."""
        self._count(now_s)
        stands = self._stand(now_s)
        self.governor.directed_bps = stands.budget_bps
        if self.viewers:
            self._quiet_since_s = now_s
            if self.first_viewer_s is None:
                self.first_viewer_s = now_s - self._began_s
        if self.life is None:
            return
        if stands.stop:
            self.life.stop("told by the manager")
        elif stands.drain is not None:
            self.life.drain(stands.drain, now_s, "told by the manager")
        self.life.look(Occupancy(self.viewers, now_s - self._quiet_since_s), now_s)
        if self.life.state == "serving" and self.ready_after_s is None:
            self.ready_after_s = now_s - self._began_s
        self.ended = self.ended or self.life.ended

    def _stand(self, now_s: float) -> Standing:
        """What is in force; worked out anew only where that can have changed."""
        held = self._held
        expired = held is None or now_s - held.received_at >= held.directive.ttl_s
        made_of = held, self.state, expired
        if self._made_of != made_of:
            self._made_of = made_of
            self.stands = standing(self._own, held, self.state, now_s)
        return self.stands

    def take(self, directive: bytes, now_s: float) -> None:
        """The answer to a report."""
        told = Directive.model_validate_json(directive)
        # Where others are is known to the twin; it need not be worked out for each server.
        self._held = accept(told.model_copy(update={"peers": []}), self._held, now_s)
        self.next_report_s = now_s + told.report_every_s

    @property
    def hurries(self) -> bool:
        """Whether it has something to tell before its next report is due."""
        return self.state != self._said

    def report(self, populations: Sequence[Population], now_s: float, utc: float) -> ServerReport:
        """As `surgecast.control.steward` makes it."""
        stands = self.stands
        self._sequence += 1
        self._said = self.state
        self.next_report_s = now_s + self._own.report_every_s
        upstream_bps = self._pulled.sample(now_s, int(self._pulled_bits / 8))
        return ServerReport(
            server=self.place.id,
            role=self.place.role,
            url=self.place.url,
            region=self.place.region,
            boot=f"{self.place.id}-1",
            sequence=self._sequence,
            sent_at_utc=utc,
            uptime_s=now_s - self._began_s,
            state=self.state,
            capacity_bps=self.place.capacity_bps,
            budget_bps=stands.budget_bps or 0.0,
            egress_bps=self._sent.sample(now_s, self.sent_bytes),
            upstream_bps=upstream_bps,
            ready_after_s=self.ready_after_s,
            first_viewer_after_s=self.first_viewer_s,
            channels=[self._channel(name, populations, now_s) for name in self._ladders],
            directive=stands.directive,
        )

    def _channel(self, name: str, populations: Sequence[Population], now_s: float) -> ChannelReport:
        ladder = self._ladders[name]
        head = max(0, int(now_s / ladder.segment_s))
        sessions = np.zeros(len(ladder.rungs), dtype=np.intp)
        viewers: dict[str, int] = {}
        regions = dict.fromkeys(p.region for p in populations if p.ladder is ladder)
        usable = {r: self._usable(ladder, r, populations) for r in regions}
        for population in populations:
            if population.ladder is not ladder or self.place.slot >= len(population.by_rung):
                continue
            by_rung = population.by_rung[self.place.slot]
            sessions += by_rung
            here = int(by_rung.sum())
            if here:
                viewers[population.region] = viewers.get(population.region, 0) + here
        return ChannelReport(
            channel=name,
            ready=self.serves,
            next_msn=head,
            target_duration_s=float(np.ceil(ladder.segment_s)),
            ladder=[
                RungReport(rung=rung, peak_bps=peak, average_bps=average, sessions=int(count))
                for rung, peak, average, count in zip(
                    ladder.rungs, ladder.peak_bps, ladder.average_bps, sessions, strict=True
                )
            ],
            viewers=viewers,
            usable={region: counts for region, counts in usable.items() if any(counts)},
            sessions_here=int(sessions.sum()),
            sessions_created=self.created[name],
            egress_bps=self._channels[name].sample(now_s, int(self._channel_bits[name] / 8)),
        )

    def _usable(self, ladder: Ladder, region: str, populations: Sequence[Population]) -> list[int]:
        """Of viewers whose links were seen here, by the best rung that they can use."""
        alike = [p for p in populations if p.ladder is ladder and p.region == region and p.governed]
        counts = [p.usable[self.place.slot] for p in alike if self.place.slot < len(p.usable)]
        return [int(n) for n in np.sum([np.zeros(len(ladder.rungs)), *counts], axis=0)]

    # Rungs.

    def believed(self, population: Population, populations: Sequence[Population]) -> int:
        """The best rung that a newcomer's link carries, as far as others tell."""
        ladder, region = population.ladder, population.region
        fleet = self.stands.usable.get(ladder.channel, {}).get(region, ())
        here = self._usable(ladder, region, populations)
        return believed(here, fleet, len(ladder.rungs))

    def cap(self, ladder: Ladder) -> int:
        """The highest position allowed."""
        rung = self.stands.rung_caps.get(ladder.channel)
        return ladder.rungs.index(rung) if rung in ladder.rungs else 0

    def divide(
        self,
        populations: Sequence[Population],
        offers: Mapping[str, tuple[Offer, ...]],
        deciding: frozenset[str],
        now_s: float,
    ) -> list[Share]:
        """Which viewers of the `deciding` channels get another rung than they have."""
        shares: list[Share] = []
        for number, population in enumerate(populations):
            cap = self.cap(population.ladder)
            shares += _alike(number, population, self.place.slot, cap)
        crowds = []
        for share in shares:
            menu = offers[populations[share.population].ladder.channel]
            if share.takes:
                menu = tuple(menu[max(p, share.takes)] for p in range(len(menu)))
            crowds.append(Crowd(menu, share.held, share.best, share.sessions))
        splits = self.governor.divide(now_s, self.sent_bytes, crowds)
        for share, split in zip(shares, splits, strict=True):
            share.split = split
        return [
            share
            for share in shares
            if share.split[share.held] != share.sessions
            and populations[share.population].ladder.channel in deciding
        ]


def _alike(number: int, population: Population, slot: int, cap: int) -> list[Share]:
    """The viewers at a place, by what matters to the governor."""
    if slot >= len(population.counts):
        return []
    here = population.counts[slot].sum(axis=-1)
    places = np.nonzero(here)
    found: dict[tuple[int, int, int], Share] = {}
    for held, second, rested, count in zip(
        *(axis.tolist() for axis in places), here[places].tolist(), strict=True
    ):
        usable = second if population.governed else 0
        takes = second if not population.governed and second > held else 0
        best = _best(held, max(cap, usable), bool(rested))
        share = found.setdefault((held, best, takes), Share(number, held, best, takes, []))
        share.alike.append((second, rested))
        share.sessions += count
    return list(found.values())


def _best(held: int, limit: int, rested: bool) -> int:
    """Down at once, up one rung at a time and not too soon (`sessions.crowds`)."""
    if limit >= held:
        return limit
    return held - 1 if rested else held
