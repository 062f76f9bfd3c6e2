"""How the rungs of a channel's sessions are decided: caps, and this channel's share of the egress.

Pure. A cap is the lowest of what the rules of the YAML, the API and the manager's directive say.
Below it, the governor shares the egress budget of the server between the sessions of all channels;
each channel's are decided when one of its segments is about to be shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from surgecast.delivery.adaptation.allocation import Offer
from surgecast.delivery.adaptation.ceiling import highest
from surgecast.delivery.adaptation.cmsd import Advice
from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.adaptation.governor import Crowd, Governor
from surgecast.delivery.adaptation.newcomers import SeenLinks
from surgecast.delivery.adaptation.rules import CapState, Load, decide
from surgecast.delivery.adaptation.utility import offers_of, rates_of
from surgecast.delivery.sessions.crowds import Claim, Share
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.settings import AdaptationSettings, EgressSettings
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window

Undecided = Callable[[], int]
"""The first number of which no session has been told its rung."""


class Balance:
    """One server's: the governor, and the channels whose sessions it looks at."""

    def __init__(self, settings: EgressSettings) -> None:
        self.governor = Governor(settings)
        self.rung_caps: Mapping[str, str] = {}
        """Channel -> the highest rung that the manager allows."""
        self.usable: Mapping[str, Mapping[str, Sequence[int]]] = {}
        """Channel -> region -> how many of the fleet's viewers can use which rung at most."""
        self.channels: dict[str, RungChoice] = {}

    def share(
        self, now: float, bytes_out: int, deciding: Sequence[SessionTable], msn: int
    ) -> list[list[Share] | None]:
        """What each of these tables is granted for the segment `msn`; None: all that it claims."""
        if self.governor.budget_bps is None:
            return [None for _ in deciding]
        tables: list[SessionTable] = []
        claims: list[Claim] = []
        crowds: list[Crowd] = []
        for choice, table, undecided in self._tables():
            for claim in table.claims(msn if table in deciding else undecided()):
                if claim.situation.silent:
                    continue
                tables.append(table)
                claims.append(claim)
                crowds.append(_crowd(choice.offers, claim))
        splits = self.governor.divide(now, bytes_out, crowds)
        shares = list(zip(tables, claims, splits, strict=True))
        return [[(c, split) for t, c, split in shares if t is table] for table in deciding]

    def _tables(self) -> Iterator[tuple["RungChoice", SessionTable, Undecided]]:
        for choice in self.channels.values():
            for table, undecided in choice.tables:
                yield choice, table, undecided


class RungChoice:
    """One channel's."""

    def __init__(
        self, name: str, window: Window, adaptation: AdaptationSettings, balance: Balance
    ) -> None:
        self.rungs = tuple(rendition.name for rendition in window.renditions)
        self.tables: list[tuple[SessionTable, Undecided]] = []
        self.usual = 0
        """Of the rung that half of the sessions have, or a lower one."""
        self.asked_cap: str | None = None
        """What the API was asked for last."""
        self.egress = EgressMeter(balance.governor.settings.window_s)
        self.links = SeenLinks(len(self.rungs))
        self._name = name
        self._window = window
        self._adaptation = adaptation
        self._balance = balance
        self._rules = CapState()
        self._declared_bps = [float(r.declared_average_bps) for r in window.renditions]
        self.offers = self._offers(tuple(window.listed))
        balance.channels[name] = self

    def decide_for(self, table: SessionTable, undecided: Undecided) -> None:
        """Sessions whose rungs are chosen here."""
        self.tables.append((table, undecided))
        table.admit = lambda best: self._balance.governor.admit(self.offers, best)

    def believe(self, table: SessionTable, now: Callable[[], float]) -> None:
        """Newcomers of this table are believed to be like those who are here."""
        table.likely = lambda region: self._likely(now(), region)

    def _likely(self, now: float, region: str) -> int:
        fleet = self._balance.usable.get(self._name, {})
        return self.links.believed(now, region, fleet.get(region, ()))

    def prepare(self, segments: SegmentSet, load: Load) -> None:
        """Before `segments` are shown: what rungs take now, and what is allowed."""
        self.offers = self._offers((*self._window.listed, segments))
        self._rules = decide(self._adaptation, self.rungs, self._rules, load, segments.msn)

    @property
    def position(self) -> int:
        """Of the cap in force, in the ladder; 0 where nothing is capped."""
        told = (self.asked_cap, self._balance.rung_caps.get(self._name))
        caps = (self.rungs.index(cap) for cap in told if cap in self.rungs)
        return max(self._rules.position, *caps, 0)

    def share(
        self, now: float, bytes_out: int, tables: Sequence[SessionTable], msn: int
    ) -> list[list[Share] | None]:
        """What the sessions of these tables get from `msn` on."""
        for table in tables:
            table.set_cap(self.position)
        shares = self._balance.share(now, bytes_out, tables, msn)
        self.usual = _median([share for granted in shares for share in granted or ()])
        return shares

    def judge(self) -> bool:
        """True if it is to go on record that more is sent than may be (once a segment)."""
        return self._balance.governor.judge(self._name)

    def highest(self, held: str, ceiling_bps: float | None) -> int:
        """The best position for a connection that carries so much."""
        return highest(self.offers, self.rungs.index(held), ceiling_bps)

    def advice(self, server: str) -> Advice:
        """What players are told: the highest rung in force, and what there is for each where the
        budget is short."""
        governor = self._balance.governor
        rendition = self._window.renditions[max(self.position, self.usual)]
        return Advice(
            server,
            self._window.variant(rendition, "").peak_bps,
            governor.share_bps if self.usual > 0 else None,
            overloaded=governor.account(self._name).over > 0,
        )

    def sessions_by_rung(self) -> dict[str, int]:
        """Of those whose rung is chosen here; on `index.m3u8` by what they play."""
        counts = dict.fromkeys(self.rungs, 0)
        for table, undecided in self.tables:
            for claim in table.claims(undecided()):
                if not claim.situation.silent:
                    counts[self.rungs[claim.situation.takes]] += claim.sessions
        return counts

    def close(self) -> None:
        """The channel is taken off."""
        self._balance.channels.pop(self._name, None)
        self._balance.governor.close_account(self._name)

    def _offers(self, newest: Sequence[SegmentSet]) -> tuple[Offer, ...]:
        rates_bps = rates_of(self.rungs, newest, self._declared_bps)
        return offers_of(self.rungs, rates_bps, self._adaptation.vmaf)


def _crowd(offers: tuple[Offer, ...], claim: Claim) -> Crowd:
    """Who plays less than it may costs no more than that, whatever it may."""
    held, takes = claim.situation.held, claim.situation.takes
    if takes > held:
        offers = tuple(offers[max(position, takes)] for position in range(len(offers)))
    return Crowd(offers, held, claim.best, claim.sessions)


def _median(shares: Sequence[Share]) -> int:
    counts = [sum(column) for column in zip(*(split for _, split in shares), strict=True)]
    left = sum(counts) / 2
    for position, count in enumerate(counts):
        left -= count
        if left <= 0 and count:
            return position
    return 0
