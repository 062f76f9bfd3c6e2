"""What must hold at every step of a simulated run, whatever goes wrong.

Of the invariants of the architecture: 4 (egress within the budget, or on record), 5 (whoever
drains or is lost interrupts nobody who has a segment buffered and another server to go to), 6
(bounds), and that directives expire. Besides: no viewer is lost or counted twice, and servers live
as the fleet's table allows. Playlist lines, MSN and discontinuity sequences (1 to 3) are not
modelled in the twin.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from simulation.chaos import scenario
from simulation.playback import PLAYING
from simulation.viewers import NOWHERE, WINDOW_SEGMENTS, Picked, Population
from simulation.world import World
from traffic_manager.fleet import MOVES, STATES, State

TARGETS_UNTIL_PLAYING = 5
_OVER_BUDGET_S = 12.0
"""The governor's window, two segments, and steps."""
_FOLLOWED_S = 7.0
"""Whoever had to change servers is looked at for so long."""
_SLACK = 1e-3


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class _Move:
    """Viewers who had to change servers, by their numbers, and how long each had stalled then."""

    population: Population
    why: str
    until_s: float
    stall_s: dict[int, float]


class Invariants:
    """Watches a world; raises Broken."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._moves: list[_Move] = []
        self._states: dict[tuple[int, str], State] = {}
        self._over_since_s: dict[str, float] = {}
        self._away_since_s: float | None = None

    def moved(self, population: Population, who: Picked, why: str) -> None:
        """Only those who have a segment buffered, and play."""
        ready = population.buffered_s[who] >= population.ladder.segment_s
        who = who[ready & (population.state[who] == PLAYING)]
        numbers, stall_s = population.number[who].tolist(), population.stall_s[who].tolist()
        stalls = dict(zip(numbers, stall_s, strict=True))
        self._moves.append(_Move(population, why, self._now_s + _FOLLOWED_S, stalls))

    def stepped(self, world: World) -> None:
        self._now_s = world.now_s
        for population in world.populations:
            _viewers_are_sound(world, population)
        self._nobody_is_interrupted(world)
        self._egress_is_within_budgets(world)
        self._lives_go_by_the_table(world)
        self._directives_expire(world)
        _all_is_bounded(world)

    def _nobody_is_interrupted(self, world: World) -> None:
        self._moves = [move for move in self._moves if world.now_s < move.until_s]
        others = any(server.takes_viewers for server in world.control.servers)
        full = world.wanted_bps > world.capacity_bps * (1 - _SLACK)
        for move in self._moves:
            population = move.population
            if not others or world.is_cut(population.region):
                move.stall_s.clear()
            for place in np.flatnonzero(np.isin(population.number, list(move.stall_s))):
                number, at = int(population.number[place]), int(population.server[place])
                enough = population.access_bps[place] >= 2 * population.rate_bps[place]
                if not enough or full[at] or population.tries[place]:
                    del move.stall_s[number]  # there is another reason to stall
                elif population.stall_s[place] > move.stall_s[number] + _SLACK:
                    raise Broken(
                        f"a viewer of {population.name} stalled ({move.why}) with a segment "
                        "buffered and another server to go to"
                    )

    def _egress_is_within_budgets(self, world: World) -> None:
        over = world.sent_bps > world.capacity_bps * (1 + _SLACK)
        if over.any():
            raise Broken(f"places {np.flatnonzero(over)} send more than they can")
        recorded = defaultdict(lambda: -np.inf, {name: at for at, name in world.rungs.over_budget})
        for server in world.control.servers:
            name, budget_bps = server.place.id, server.governor.budget_bps
            assert budget_bps is not None
            slot = server.place.slot
            sent_bps = float(world.sent_bps[slot]) if slot < len(world.sent_bps) else 0.0
            if not server.serves or sent_bps <= budget_bps * (1 + _SLACK):
                self._over_since_s.pop(name, None)
                continue
            since_s = self._over_since_s.setdefault(name, world.now_s)
            if world.now_s - since_s > _OVER_BUDGET_S and recorded[name] < since_s:
                raise Broken(f"{name} sends {sent_bps:.0f} of {budget_bps:.0f}; nothing on record")

    def _lives_go_by_the_table(self, world: World) -> None:
        manager = world.control.manager
        if manager is None:
            self._states.clear()
            return
        states: dict[tuple[int, str], State] = {}
        for server in manager.fleet:
            key = id(manager), server.id
            states[key] = server.state
            before = self._states.get(key)
            again = before in ("failed", "stopped")  # a new life of the same name
            if before is not None and not again and server.state not in _AHEAD[before]:
                raise Broken(f"{server.id} went from {before} to {server.state}")
        self._states = states

    def _directives_expire(self, world: World) -> None:
        settings = world.settings
        if not world.control.away:
            self._away_since_s = None
            return
        if self._away_since_s is None:
            self._away_since_s = world.now_s
        gone_s = world.now_s - self._away_since_s
        if gone_s < settings.directives.ttl_s + settings.fleet.report_every_s:
            return
        for server in world.control.servers:
            if server.governor.budget_bps != server.governor.own_budget_bps:
                raise Broken(f"{server.place.id} keeps a budget that nobody stands for")
            if server.stands.rung_caps or server.stands.directive:
                raise Broken(f"{server.place.id} obeys a directive that has run out")


def _ahead() -> dict[State, set[State]]:
    """From each state, those that can be reached; itself included."""
    reached: dict[State, set[State]] = {}
    for state in reversed(STATES):
        reached[state] = {state}.union(*(reached[after] for after in MOVES[state]))
    return reached


_AHEAD = _ahead()


def _viewers_are_sound(world: World, population: Population) -> None:
    name, count = population.name, len(population)
    tally = population.tally
    if count != tally.came - tally.left or count != population.counts.sum():
        raise Broken(f"{name}: {tally.came} came, {tally.left} left, {count} are there")
    numbers = (population.buffered_s, population.need_bits, population.stall_s)
    if not all(np.isfinite(column).all() and (column >= 0).all() for column in numbers):
        raise Broken(f"{name}: a buffer, a stall or a download is no number from 0")
    most_s = (WINDOW_SEGMENTS + 1) * population.ladder.segment_s
    if count and float(population.buffered_s.max()) > most_s:
        raise Broken(f"{name}: {population.buffered_s.max():.1f} s buffered of {most_s:.0f}")
    behind = population.behind
    if ((behind < 0) | (behind > WINDOW_SEGMENTS)).any():
        raise Broken(f"{name}: segments to come are beyond the window")
    slots = {server.place.slot for server in world.control.servers} | {NOWHERE}
    slots |= set(world.control.dead)
    if not set(np.unique(population.server).tolist()) <= slots:
        raise Broken(f"{name}: viewers at places where no server is, or was just now")
    calm = population.calm
    if (calm & ((population.state != PLAYING) | (behind > 0))).any():
        raise Broken(f"{name}: some are called calm who are not")


def _all_is_bounded(world: World) -> None:
    control = world.control
    relays_max = world.settings.policy.relays_max
    sizes = {
        "places of servers": (len(control.slots), 4 * relays_max + 8),
        "places to be left": (len(control.dead), 2 * relays_max + 4),
        "relays on their way": (control.coming, 2 * relays_max + 2),
    }
    manager = control.manager
    if manager is not None:
        settings = manager.settings.fleet
        sizes["servers known"] = (len(manager.fleet), settings.servers_max)
        sizes["servers weighed"] = (len(manager.screening), settings.servers_max)
    for name, (size, limit) in sizes.items():
        if size > limit:
            raise Broken(f"{size} {name}; at most {limit}")


def check(seed: int) -> None:
    """Run a seed. Raises Broken, or whatever the code under test raises."""
    chosen = scenario(seed)
    world = World(chosen, Invariants())
    over_s = world.control.faults.over_at_s
    longest_s = max(ladder.segment_s for ladder in world.ladders.values())
    until_s = over_s + TARGETS_UNTIL_PLAYING * longest_s
    while not world.over:
        world.step()
        if world.now_s >= until_s:
            _all_play(world, over_s)


def _all_play(world: World, over_s: float) -> None:
    """Liveness: the faults have been over for long enough. Who is on a link that hardly carries his
    rung may stall without any fault: he does not count."""
    settled_s = min(over_s, world.now_s - TARGETS_UNTIL_PLAYING * 2.0)
    for population in world.populations:
        idle = (population.state != PLAYING) & (population.joined_s <= settled_s)
        idle &= population.access_bps >= 2 * population.rate_bps
        if idle.any():
            states = np.bincount(population.state[idle], minlength=3).tolist()
            places = np.unique(population.server[idle]).tolist()
            raise Broken(
                f"{world.now_s - over_s:.0f} s after the faults {int(idle.sum())} viewers of "
                f"{population.name} do not play (waiting, playing, stalled: {states}; at {places})"
            )
