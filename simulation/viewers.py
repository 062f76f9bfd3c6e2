"""The viewers of one crowd as vectors: what each has buffered, fetches, believes of his link.

A `Population` is everybody of one crowd who lets the server choose, or everybody who chooses for
himself: one channel, one region, one ladder. Each step it says what its viewers can take
(`ask`), is told what servers grant, and lets them download and play (`play`). Those to whom nothing
happens but that one more segment comes in time (almost all, almost always) are worked through in
blocks that fit the processor's cache; the others go the long way of `_carefully`, segment by
segment, to the exact moment a stall begins.

What is left out: requests take no time of their own, a segment is fetched only when it is whole
(no low latency), and a viewer's rung changes between segments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from player.abr import STAY_FACTOR, UP_FACTOR
from player.asking import GIVE_UP_S
from player.tracker import HOLD_BACK_TARGETS
from simulation.access import Bank
from simulation.playback import (
    PLAYING,
    STATES,
    WAITING,
    Mask,
    Reals,
    Small,
    advance,
    append,
    estimate,
    highest,
    learn,
)
from simulation.seen import BITS_MIN, HOLD, RISE, see

Picked = NDArray[np.intp]
Counts = NDArray[np.intp]
"""Viewers by server, rung they may have, second, rested (0, 1) and state. The second is the rung
they could use, where the server chooses; the one they play, where they do."""

NOWHERE = 0
"""The place among servers of those who are at none."""
WINDOW_SEGMENTS = 10
"""Who falls behind the window goes on where everybody joins."""
_BLOCK = 32_768
_SPEED_BPS_MIN = 1e-3
_NOBODY: Picked = np.zeros(0, dtype=np.intp)

_FIELDS: dict[str, type] = {
    "number": np.int32,
    "server": np.int16,
    "state": np.int8,
    "held": np.int8,
    "rung": np.int8,
    "wish": np.int8,
    "rest": np.int8,
    "behind": np.int8,
    "tries": np.int8,
    "calm": np.bool_,
    "seen": np.bool_,
    "switches": np.int16,
    "place": np.int32,
    "buffered_s": np.float32,
    "need_bits": np.float32,
    "rate_bps": np.float32,
    "access_bps": np.float32,
    "demand_bps": np.float32,
    "speed_bps": np.float32,
    "fast_bps": np.float32,
    "slow_bps": np.float32,
    "weight_s": np.float32,
    "joined_s": np.float32,
    "ready_s": np.float32,
    "leaves_s": np.float32,
    "stall_s": np.float32,
}


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs of a channel, best first, and how long its segments are."""

    channel: str
    rungs: tuple[str, ...]
    average_bps: tuple[float, ...]
    peak_bps: tuple[float, ...]
    vmaf: tuple[float, ...]
    segment_s: float


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of one channel."""

    now_s: float
    step_s: float
    published: int
    """Segments that became whole since the step before."""
    ratio: float
    """Of the newest segment's size to the average."""


@dataclass(slots=True)
class Tally:
    """What happened to everybody so far."""

    came: int = 0
    left: int = 0
    failed: int = 0
    switches: int = 0
    stall_s: float = 0.0
    startups_s: list[Reals] = field(default_factory=list)


class Population:
    """See above. Vectors have one entry for each viewer, in no order that lasts."""

    number: NDArray[np.int32]
    """His own, for as long as he is there."""
    server: NDArray[np.int16]
    state: Small
    held: Small
    """The highest rung he may have; where the server chooses, the one he has."""
    rung: Small
    wish: Small
    """The highest he could use, by what the server has seen of his connection."""
    rest: Small
    """Segments until he may rise again."""
    behind: Small
    """Segments that he has not got yet."""
    tries: Small
    calm: Mask
    """He plays, and has all there is: nothing happens to him but one segment after another. What
    comes new is not noted in `behind` as long as that holds."""
    seen: Mask
    """Whether his server, where it chooses, has seen him take a segment."""
    switches: NDArray[np.int16]
    place: NDArray[np.int32]
    """In the bank of access networks."""
    buffered_s: Reals
    need_bits: Reals
    """What is left of the segment he is fetching."""
    rate_bps: Reals
    """On average, of his rung."""
    access_bps: Reals
    demand_bps: Reals
    speed_bps: Reals
    fast_bps: Reals
    slow_bps: Reals
    weight_s: Reals
    joined_s: Reals
    ready_s: Reals
    """From then on he can fetch: he has joined, or found another server."""
    leaves_s: Reals
    stall_s: Reals

    def __init__(
        self,
        name: str,
        region: str,
        ladder: Ladder,
        bank: Bank,
        *,
        governed: bool,
        spacing_segments: int,
    ) -> None:
        self.name = name
        self.region = region
        self.ladder = ladder
        self.governed = governed
        self.tally = Tally()
        self.counts: Counts = np.zeros((1, 1, 1, 1, len(STATES)), dtype=np.intp)
        self.by_rung: NDArray[np.intp] = np.zeros((1, len(ladder.rungs)), dtype=np.intp)
        """Viewers by server and the rung they play: where they were at the last `count`, and what
        they have played since."""
        self.usable = self.by_rung
        """Viewers by server and the rung they could use, of those who were seen, as of then."""
        self._bank = bank
        self._spacing = spacing_segments
        self._has_tiny = min(ladder.average_bps) * ladder.segment_s < BITS_MIN
        self._others = _NOBODY
        self._rates = np.array(ladder.average_bps, dtype=np.float32)
        self._steady = len(bank.bps) == 1
        self._resting = False
        self._keys: NDArray[Any] = np.zeros(0, dtype=np.int32)
        """Of each viewer, his place in `counts`, as of the last `count`."""
        self._all: dict[str, NDArray[Any]] = {
            name: np.zeros(1024, dtype=kind) for name, kind in _FIELDS.items()
        }
        self._resize(0)

    def __len__(self) -> int:
        return len(self.server)

    # Who is there.

    def add(self, count: int, joined_s: Reals, leaves_s: Reals, dice: np.random.Generator) -> None:
        """Viewers who have yet to find a server."""
        before = len(self)
        self._resize(before + count)
        new = slice(before, None)
        for column in self._all.values():
            column[before : before + count] = 0
        self.number[new] = self.tally.came + np.arange(count)
        self.server[new] = NOWHERE
        self.joined_s[new] = self.ready_s[new] = joined_s
        self.leaves_s[new] = leaves_s
        self.place[new] = self._bank.draw(count, dice)
        self.access_bps[new] = self._bank.bps[self.place[new]]
        self.rung[new] = self.held[new] = len(self._rates) - 1
        self.rate_bps[new] = self._rates[-1]
        self.tally.came += count

    def remove(self, leaving: Picked) -> None:
        """Let viewers go; the last ones take their places in the vectors."""
        count = len(leaving)
        if not count:
            return
        self.tally.left += count
        self.tally.failed += int((self.state[leaving] == WAITING).sum())
        after = len(self) - count
        stays = np.ones(count, dtype=bool)
        stays[leaving[leaving >= after] - after] = False
        movers = np.flatnonzero(stays) + after
        holes = leaving[leaving < after]
        for column in self._all.values():
            column[holes] = column[movers]
        self._resize(after)

    def _resize(self, count: int) -> None:
        if count > len(self._all["server"]):
            size = max(count, len(self._all["server"]) * 3 // 2)
            for name, column in self._all.items():
                self._all[name] = np.concatenate(
                    [column, np.zeros(size - len(column), dtype=column.dtype)]
                )
        for name, column in self._all.items():
            setattr(self, name, column[:count])

    def gone(self, now_s: float, patience_s: float) -> Picked:
        """Those whose time is up, and those who have waited too long for a picture."""
        found = [
            np.flatnonzero(self.leaves_s[part] <= now_s) + part.start for part in self._blocks()
        ]
        if self.counts[..., WAITING].any():
            waited = (self.state == WAITING) & (self.joined_s < now_s - patience_s)
            found.append(np.flatnonzero(waited))
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.intp)

    def seat(
        self,
        who: Picked,
        server: int | NDArray[np.int16],
        rung: int | Small,
        *,
        slow: bool | Mask = False,
    ) -> None:
        """Begin at a server: three segments behind the live edge, with this rung; who is believed
        to be `slow` stays there as long as after a switch."""
        self.server[who] = server
        self.behind[who] = HOLD_BACK_TARGETS
        self.need_bits[who] = 0
        self.calm[who] = False
        self.held[who] = rung
        self.rest[who] = np.where(slow, self._spacing, 0)
        self.rung[who] = rung if self.governed else self._first_choice(who)
        self.rate_bps[who] = self._rates[self.rung[who]]

    def _first_choice(self, who: Picked) -> Small:
        """Of a player that knows nothing of its link."""
        return self._chosen(self.held[who], np.zeros(len(who), np.int8), self._believed(who))

    def move(self, who: Picked, server: int | NDArray[np.int16]) -> None:
        """Go on at another server, with all that was seen forgotten by the one that chooses."""
        self.server[who] = server
        if self.governed:
            self.fast_bps[who] = self.slow_bps[who] = 0
            self.wish[who] = 0
            self.seen[who] = False

    # What they want.

    def ask(self, moment: Moment, *, cut: bool) -> None:
        """Work out `demand_bps`: what each could take in this step; nothing if he is `cut` off."""
        size_s = moment.ratio * self.ladder.segment_s
        self._others = np.flatnonzero(~self.calm)
        each = np.float32(moment.published * size_s / moment.step_s)
        for part in self._blocks():
            demand = self.demand_bps[part]
            np.multiply(self.rate_bps[part], each, out=demand)
            self._refresh_access(part)
            np.minimum(demand, self.access_bps[part], out=demand)
        who = self._others
        behind, need = self.behind[who] + np.int8(moment.published), self.need_bits[who]
        lost = behind > WINDOW_SEGMENTS
        behind[lost], need[lost] = HOLD_BACK_TARGETS, 0
        size = self.rate_bps[who] * np.float32(size_s)
        need = np.where((need <= 0) & (behind > 0), size, need)
        self.behind[who], self.need_bits[who] = behind, need
        wanted = (need + np.maximum(behind - 1, 0) * size) / np.float32(moment.step_s)
        self.demand_bps[who] = np.minimum(wanted, self.access_bps[who])
        if cut:
            self.demand_bps[:] = 0
        if moment.published and self._resting:
            np.maximum(self.rest - np.int8(moment.published), 0, out=self.rest)

    def wanted_bps(self, moment: Moment) -> NDArray[np.float64]:
        """The sums of `demand_bps`, server by server."""
        servers, who = len(self.by_rung), self._others
        each = moment.published * moment.ratio * self.ladder.segment_s / moment.step_s
        if not self._steady or float(self._bank.bps[0]) < float(self._rates[0]) * each:
            return _sums(self.server, self.demand_bps, servers)
        # Nobody's link is in the way of what the calm want: rungs say it all.
        sums: NDArray[np.float64] = self.by_rung @ self._rates.astype(float) * each
        sums += _sums(self.server[who], self.demand_bps[who] - self.rate_bps[who] * each, servers)
        return np.maximum(sums, 0.0, out=sums)

    def _refresh_access(self, part: slice) -> None:
        if self._steady:
            return
        place = self.place[part]
        place[:] = self._bank.following[place]
        np.take(self._bank.bps, place, out=self.access_bps[part], mode="clip")

    # What they get.

    def play(self, moment: Moment, free_bps: Reals, level_bps: Reals, *, cut: bool) -> None:
        """Let a step pass. `free_bps` is what each server could send to one viewer beside all it
        has to send, `level_bps` what it sends to one at most."""
        short = bool(np.isfinite(level_bps).any())
        missed = []
        for part in self._blocks():
            speed = self.speed_bps[part]
            server = self.server[part].astype(np.intp)
            np.take(free_bps, server, out=speed, mode="clip")
            np.maximum(speed, self.demand_bps[part], out=speed)
            if short:
                np.minimum(speed, level_bps[server], out=speed)
            np.minimum(speed, self.access_bps[part], out=speed)
            if cut:
                speed[:] = 0
            np.maximum(speed, np.float32(_SPEED_BPS_MIN), out=speed)
            missed.append(self._play_block(part, speed, moment))
        calm = np.concatenate([*missed, np.zeros(0, dtype=np.intp)])
        self.behind[calm] = moment.published
        self.need_bits[calm] = (
            self.rate_bps[calm] * np.float32(moment.ratio * self.ladder.segment_s)
            if moment.published
            else 0
        )
        others = np.concatenate([self._others, calm])
        if len(others):
            self._carefully(others, self.speed_bps[others], moment)

    def _play_block(self, part: slice, speed_bps: Reals, moment: Moment) -> Picked:
        """Let those play on who are calm; to whom of them more happens than a segment in time."""
        calm, buffered_s = self.calm[part], self.buffered_s[part]
        gains_s = moment.published * self.ladder.segment_s - moment.step_s
        if moment.published > 1:
            every: Picked = np.flatnonzero(calm) + part.start
            return every
        took_s = self.rate_bps[part] * np.float32(
            moment.published * moment.ratio * self.ladder.segment_s
        )
        took_s /= speed_bps
        fine = took_s < np.minimum(buffered_s, np.float32(moment.step_s))
        if gains_s < 0:
            fine &= buffered_s > -gains_s
        fine &= calm
        others: Picked = np.flatnonzero(~fine)
        if gains_s:
            buffered_s += fine * np.float32(gains_s) if len(others) else np.float32(gains_s)
        if moment.published:
            if len(others) < len(fine) // 4:
                self._learn_but(others, part, speed_bps, took_s)
            else:
                who = np.flatnonzero(fine)
                self._learn(who + part.start, speed_bps[who], took_s[who])
        missed: Picked = others[calm[others]] + part.start
        return missed

    def _learn_but(self, others: Picked, part: slice, bps: Reals, took_s: Reals) -> None:
        """`_learn` for all of a part but a few: for everybody, and then undone for them."""
        beliefs: tuple[NDArray[Any], ...] = (
            self.fast_bps,
            self.slow_bps,
            self.weight_s,
            self.wish,
            self.seen,
        )
        before = [column[part][others] for column in beliefs]
        self._learn(part, bps, took_s, others)
        for column, values in zip(beliefs, before, strict=True):
            column[part][others] = values

    def _learn(
        self, who: slice | Picked, bps: Reals, took_s: Reals, without: Picked = _NOBODY
    ) -> None:
        """Those who got a segment saw how fast their link is. Nobody of `without` switches."""
        fast, slow = self.fast_bps[who], self.slow_bps[who]
        picked = not isinstance(who, slice)
        if self.governed:
            sizes = self.rate_bps[who] * self.ladder.segment_s if self._has_tiny else None
            see(fast, slow, bps, took_s, sizes)
            self.wish[who] = self._usable(who, np.minimum(fast, slow))
            self.seen[who] = True
        else:
            weight = self.weight_s[who]
            learn(fast, slow, weight, bps, took_s)
            chosen = self._chosen(self.held[who], self.rung[who], estimate(fast, slow, weight))
            chosen[without] = self.rung[who][without]
            changed = np.flatnonzero(chosen != self.rung[who])
            if picked:
                self.weight_s[who] = weight
            if len(changed):
                switching = changed + who.start if isinstance(who, slice) else who[changed]
                self._switch(switching, chosen[changed])
        if picked:
            self.fast_bps[who], self.slow_bps[who] = fast, slow

    def _usable(self, who: slice | Picked, seen_bps: Reals) -> Small:
        """The rung that a connection carries (`ceiling.highest`); the top while nothing is known.
        What is held may be more than that."""
        if seen_bps.min(initial=np.inf) <= 0:
            seen_bps = np.where(seen_bps > 0, seen_bps, np.float32(np.inf))
        return highest(self.ladder.average_bps, self.held[who], seen_bps, RISE, HOLD)

    def _believed(self, who: Picked) -> Reals:
        return estimate(self.fast_bps[who], self.slow_bps[who], self.weight_s[who])

    def _chosen(self, allowed: Small, current: Small, estimate_bps: Reals) -> Small:
        """By the player's rule, among what it may choose from."""
        peaks = self.ladder.peak_bps
        best: Small = highest(peaks, current, estimate_bps, UP_FACTOR, STAY_FACTOR)
        return np.maximum(best, allowed)

    def _switch(self, who: Picked, rung: Small) -> None:
        places = self.server[who]
        np.subtract.at(self.by_rung, (places, self.rung[who]), 1)
        np.add.at(self.by_rung, (places, rung), 1)
        self.rung[who] = rung
        self.rate_bps[who] = self._rates[rung]
        self.switches[who] += 1
        self.tally.switches += len(who)

    def grant(self, who: Picked, rung: int) -> None:
        """The governor gives these this rung, from the next segment on."""
        self.held[who] = rung
        self.rest[who] = self._spacing
        self._resting = True
        if self.governed:
            self._switch(who, np.full(len(who), rung, dtype=np.int8))
        else:
            low = who[self.rung[who] < rung]
            self._switch(low, np.full(len(low), rung, dtype=np.int8))

    def _carefully(self, who: Picked, speed_bps: Reals, moment: Moment) -> None:
        """One step for those to whom anything can happen, segment after segment."""
        state, buffered_s = self.state[who], self.buffered_s[who]
        behind, need = self.behind[who], self.need_bits[who]
        stalled_s = np.zeros(len(who), dtype=np.float32)
        size_s = moment.ratio * self.ladder.segment_s
        late_s = np.clip(self.ready_s[who] - np.float32(moment.now_s), 0, moment.step_s)
        left_s: Reals = np.float32(moment.step_s) - late_s
        speed_bps = np.where(self.server[who] == NOWHERE, np.float32(_SPEED_BPS_MIN), speed_bps)
        advance(state, buffered_s, stalled_s, late_s)
        while True:
            took_s = np.where(behind > 0, need / speed_bps, np.float32(np.inf))
            done = took_s <= left_s
            passed_s = np.where(done, took_s, left_s)
            advance(state, buffered_s, stalled_s, passed_s)
            need = np.where(behind > 0, np.maximum(need - speed_bps * passed_s, 1), 0)
            left_s = left_s - passed_s
            if not done.any():
                break
            waited = state == WAITING
            begun = append(state, buffered_s, done, self.ladder.segment_s) & waited
            if begun.any():
                at_s = np.float32(moment.now_s + moment.step_s) - left_s[begun]
                self.tally.startups_s.append(at_s - self.joined_s[who[begun]])
            behind -= done
            got = np.flatnonzero(done)
            whole_s = self.rate_bps[who[got]] * np.float32(size_s) / speed_bps[got]
            self._learn(who[got], speed_bps[got], whole_s)
            size = self.rate_bps[who] * np.float32(size_s)
            need = np.where(done, np.where(behind > 0, size, 0), need).astype(np.float32)
        self.state[who], self.buffered_s[who] = state, buffered_s
        self.behind[who], self.need_bits[who] = behind, need
        ready = self.ready_s[who] <= moment.now_s + moment.step_s
        self.calm[who] = (state == PLAYING) & (behind == 0) & ready
        self.stall_s[who] += stalled_s
        self.tally.stall_s += float(stalled_s.sum())

    def never_saw(self, now_s: float, patience_s: float = GIVE_UP_S) -> int:
        """Who is there, has waited for long, and has seen no picture."""
        waiting = self.state == WAITING
        return int((waiting & (self.joined_s < now_s - patience_s / 2)).sum())

    # How many there are of each kind.

    def count(self, servers: int) -> None:
        """Bring `counts` up to date, for so many places of servers."""
        rungs, states = len(self._rates), len(STATES)
        shape = (servers, rungs, rungs, 2, states)
        counts = np.zeros(int(np.prod(shape)), dtype=np.intp)
        key_type = np.int16 if len(counts) < 2**15 else np.int32
        if self._keys.dtype != key_type or len(self._keys) < len(self):
            self._keys = np.empty(len(self._all["server"]), dtype=key_type)
        for part in self._blocks():
            self._mark(part, self._keys[part])
            counts += np.bincount(self._keys[part], minlength=len(counts))
        self.counts = counts.reshape(shape)
        self.by_rung = self.counts.sum(axis=(2, 3, 4) if self.governed else (1, 3, 4))
        self._resting = bool(self.counts[:, :, :, 0].any())
        if self.governed:
            who = np.flatnonzero(~self.seen)
            unseen = np.bincount(
                self.server[who] * rungs + self.wish[who], minlength=servers * rungs
            )
            self.usable = self.counts.sum(axis=(1, 3, 4)) - unseen.reshape(servers, rungs)

    def _mark(self, part: slice, key: NDArray[Any]) -> None:
        rungs = len(self._rates)
        np.multiply(self.server[part], key.dtype.type(rungs), out=key, casting="unsafe")
        key += self.held[part]
        key *= rungs
        key += self.wish[part] if self.governed else self.rung[part]
        key *= 2
        key += self.rest[part] == 0
        key *= len(STATES)
        key += self.state[part]

    def lose(self, who: Picked, ready_s: Reals) -> None:
        """Their server is gone: they look for another from then on."""
        self.server[who] = NOWHERE
        self.ready_s[who] = ready_s
        self.tries[who] = 0
        self.calm[who] = False

    def members(self, groups: NDArray[np.int16]) -> tuple[Picked, NDArray[np.int16]]:
        """Who is in which of some groups, as of the last `count`; `groups` has the shape of
        `counts`, and 0 stands for none."""
        flat = groups.ravel()
        found = [flat[self._keys[part]] for part in self._blocks()]
        which = np.concatenate([*found, np.zeros(0, dtype=np.int16)])
        who = np.flatnonzero(which)
        return who, which[who]

    def at(self, *servers: int) -> Picked:
        """Who is at one of these servers."""
        here = [np.flatnonzero(self.server == server) for server in servers]
        return np.concatenate([*here, _NOBODY])

    def _blocks(self) -> Iterator[slice]:
        for start in range(0, len(self), _BLOCK):
            yield slice(start, min(start + _BLOCK, len(self)))


def _sums(places: NDArray[np.int16], values: Reals, count: int) -> NDArray[np.float64]:
    return np.bincount(places, weights=values, minlength=count).astype(np.float64, copy=False)
