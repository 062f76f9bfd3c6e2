"""What is done for a task that falls behind its source, and when that is undone. Pure.

A task that is *slow* (below `speed_min` for `slow_after_s`) is given, one step at a time:

1. cores, if its worker has some and its reservation is what holds it back;
2. a faster preset, the next one that should be fast enough;
3. fewer rungs, those of least value first (`costs.rungs`);
4. another worker, make before break.

After the first rungs went, another worker is looked for before more of them go. A step is given
`cooldown_s` to take effect. Steps are undone in reverse when there was room for `undo_after_s`;
between `speed_min` and `speed_good` nothing is done at all. A step that has to be taken again soon
after it was undone doubles that wait. Where there is no room here, a worker is looked for that
takes the task whole. A task for which nothing is left is *held*, on record.

A rung that an encoder left out of its own accord counts as being slow, as far as cores and another
worker go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from surgecast.control.messages import Signature
from traffic_manager.placement.costs.model import Machine, Model
from traffic_manager.placement.costs.rungs import faster_presets, reduced, sheds
from traffic_manager.placement.settings import AdjustSettings

StepKind = Literal["cores", "preset", "shed", "move", "restore", "hold"]

_CORES_STEP_MIN = 0.05
_HELD_BACK = 0.8
"""A task that uses this share of its reservation may be held back by it."""
_SOURCE_LATE_LAG_S = 0.25
_SOURCE_LATE_USE = 0.7
_HOLD_EVERY_S = 30.0
_PROVEN_S = 60.0
_DOUBLINGS_MAX = 8
_SPEED_LEAST = 0.05


@dataclass(frozen=True, slots=True)
class Situation:
    """A task that runs, at one moment."""

    channel: str
    signature: Signature | None
    """Of the whole task, as its origin wants it."""
    machine: Machine
    preset: str
    """In force; empty for that of the signature."""
    shed: tuple[str, ...]
    """Rungs that it was told to go without."""
    own_shed: tuple[str, ...]
    """Rungs that its encoder left out of its own accord."""
    speed: float
    lag_s: float
    used_cores: float
    reserved_cores: float
    free_cores: float
    """Of its worker, that nobody reserved."""
    idle_cores: float
    """Of its worker, that nobody uses."""
    viewers: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; for `cores`, `preset`, `shed` and `restore`: how the task is afterwards."""

    kind: StepKind
    why: str
    cores: float = 0.0
    preset: str = ""
    shed: tuple[str, ...] = ()
    rung: str = ""
    """That goes, or returns."""
    urgent: bool = True
    """False for a move that would only undo steps."""


@dataclass(frozen=True, slots=True)
class _Undo:
    preset: str
    shed: tuple[str, ...]
    cores: float


class Adjuster:
    """Watches one task through its life."""

    def __init__(self, settings: AdjustSettings, *, adopted_cores: float | None = None) -> None:
        """`adopted_cores` are reserved for a task that is adopted with less than all it should
        have: that is a step to be undone, whoever took it."""
        self.settings = settings
        self.slow_since_s: float | None = None
        self.acted_at_s: float | None = None
        self._taken = [] if adopted_cores is None else [_Undo("", (), adopted_cores)]
        self._room_since_s: float | None = None
        self._undone_at_s: float | None = None
        self._failures = 0
        self._looked_elsewhere = False
        self._held_at_s: float | None = None
        self._no_room_since_s: float | None = None

    @property
    def steps(self) -> int:
        """That are in force, and to be undone."""
        return len(self._taken)

    @property
    def undo_after_s(self) -> float:
        doubled = self.settings.undo_after_s * 2 ** min(self._failures, _DOUBLINGS_MAX)
        return float(min(doubled, self.settings.undo_after_max_s))

    def look(self, at: Situation, model: Model, now_s: float) -> Step | None:
        """What is to be done now. A `move` may find no worker: say so with `stays`."""
        if self._undone_at_s is not None and now_s - self._undone_at_s >= _PROVEN_S:
            self._undone_at_s, self._failures = None, 0
        slow = at.speed < self.settings.speed_min
        if not (slow or at.own_shed):
            self.slow_since_s, self._looked_elsewhere, self._held_at_s = None, False, None
            return self._undo(at, model, now_s)
        self._room_since_s = self._no_room_since_s = None
        if self.slow_since_s is None:
            self.slow_since_s = now_s
        waited = now_s - self.slow_since_s >= self.settings.slow_after_s
        if not waited or self._cooling(now_s):
            return None
        step = self._help(at, model) if slow else self._help_back(at)
        return self._take(step, at, now_s)

    def stays(self, now_s: float, why: str) -> Step | None:
        """No worker takes it: it is held, on record now and then."""
        return self._take(Step("hold", why), None, now_s)

    def _cooling(self, now_s: float) -> bool:
        return self.acted_at_s is not None and now_s - self.acted_at_s < self.settings.cooldown_s

    # Help.

    def _help(self, at: Situation, model: Model) -> Step:
        seen = f"at {at.speed:.2f}x, {self.settings.speed_min:g} is the least"
        if _source_is_late(at):
            return Step("hold", f"{seen}; its source is late: it uses {at.used_cores:.2f} cores of "
                        f"{at.reserved_cores:.2f}")  # fmt: skip
        for step in (self._more_cores(at, seen), self._faster(at, model, seen)):
            if step is not None:
                return step
        fewer = self._fewer(at, model, seen)
        if fewer is not None and (not at.shed or self._looked_elsewhere):
            return fewer
        return Step("move", seen)

    def _help_back(self, at: Situation) -> Step:
        """Its encoder went without rungs and keeps up so."""
        seen = f"its encoder left out {', '.join(at.own_shed)}"
        return self._more_cores(at, seen) or Step("move", seen)

    def _more_cores(self, at: Situation, seen: str) -> Step | None:
        held_back = at.used_cores >= _HELD_BACK * at.reserved_cores
        if at.free_cores < _CORES_STEP_MIN or not held_back:
            return None
        wanted = self._wanted(at) - at.reserved_cores
        cores = at.reserved_cores + min(at.free_cores, max(wanted, _CORES_STEP_MIN))
        why = f"{seen}; {at.free_cores:.2f} cores are free"
        return Step("cores", why, cores, at.preset, at.shed)

    def _faster(self, at: Situation, model: Model, seen: str) -> Step | None:
        """The next preset that should be fast enough, else the fastest there is."""
        if at.signature is None:
            return None
        presets = faster_presets(at.preset or at.signature.preset)
        if not presets:
            return None
        enough = (p for p in presets if self._needs(at, model, p, at.shed) <= self._has(at))
        preset = next(enough, presets[-1])
        return Step("preset", f"{seen}; no cores to add", at.reserved_cores, preset, at.shed)

    def _fewer(self, at: Situation, model: Model, seen: str) -> Step | None:
        """As many rungs less as should be enough, else all but the lowest."""
        if at.signature is None:
            return None
        shed = tuple(dict.fromkeys([*at.shed, *at.own_shed]))
        fewer = sheds(at.signature, shed, at.viewers)
        if not fewer:
            return None
        enough = (
            less for less in fewer if self._needs(at, model, at.preset, less) <= self._has(at)
        )
        less = next(enough, fewer[-1])
        gone = less[len(shed) :]
        why = f"{seen}; the value of {', '.join(gone)} is the least"
        return Step("shed", why, at.reserved_cores, at.preset, less, ",".join(gone))

    def _wanted(self, at: Situation) -> float:
        """Cores that should make it fast enough as it is."""
        used = at.used_cores or at.reserved_cores
        return used / max(at.speed, _SPEED_LEAST) * self.settings.headroom

    def _has(self, at: Situation) -> float:
        """Cores that it really gets: no more than it used while it was slow."""
        return at.used_cores or at.reserved_cores

    def _needs(self, at: Situation, model: Model, preset: str, shed: tuple[str, ...]) -> float:
        """Cores in another form, from what it takes in this one."""
        now_cores = self._cores(at, model, at.preset, (*at.shed, *at.own_shed))
        share = self._cores(at, model, preset, shed) / max(now_cores, 1e-6)
        return self._wanted(at) * share

    def _cores(self, at: Situation, model: Model, preset: str, shed: tuple[str, ...]) -> float:
        assert at.signature is not None
        form = reduced(at.signature, preset, shed)
        return model.cost(at.channel, form, at.machine).cores

    # Undoing.

    def _undo(self, at: Situation, model: Model, now_s: float) -> Step | None:
        step = self._undone(at, model)
        if step is None or at.speed < self.settings.speed_good:
            self._room_since_s = None
            return self._whole_elsewhere(at, now_s)
        self._no_room_since_s = None
        if self._room_since_s is None:
            self._room_since_s = now_s
        long_enough = now_s - self._room_since_s >= self.undo_after_s
        if not long_enough or self._cooling(now_s):
            return None
        self._taken.pop()
        self._room_since_s, self.acted_at_s, self._undone_at_s = None, now_s, now_s
        return step

    def _whole_elsewhere(self, at: Situation, now_s: float) -> Step | None:
        """Where there is no room here for what it goes without, there may be some elsewhere."""
        if not (at.preset or at.shed) or at.speed < self.settings.speed_good:
            self._no_room_since_s = None
            return None
        if self._no_room_since_s is None:
            self._no_room_since_s = now_s
        if now_s - self._no_room_since_s < self.undo_after_s:
            return None
        self._no_room_since_s = now_s
        less = f"without {', '.join(at.shed)}" if at.shed else f"with preset {at.preset}"
        return Step("move", f"it runs {less}, and here is no room for more", urgent=False)

    def _undone(self, at: Situation, model: Model) -> Step | None:
        """The last step taken back, where there is room for that."""
        if not self._taken:
            return None
        before = self._taken[-1]
        same_form = (before.preset, before.shed) == (at.preset, at.shed)
        cores = at.used_cores * self.settings.headroom
        if same_form:
            if cores > before.cores:
                return None
            why = f"it uses {at.used_cores:.2f} cores of {at.reserved_cores:.2f}"
            return Step("cores", why, before.cores, before.preset, before.shed)
        if at.signature is None:
            return None
        more = self._cores(at, model, before.preset, before.shed)
        cores *= more / max(self._cores(at, model, at.preset, at.shed), 1e-6)
        extra = cores - at.used_cores
        if cores > at.reserved_cores + at.free_cores or extra > at.idle_cores:
            return None
        back = tuple(rung for rung in at.shed if rung not in before.shed)
        why = f"{at.idle_cores:.2f} cores idle for {self.undo_after_s:g} s; it takes {extra:.2f}"
        reserved = max(at.reserved_cores, cores)
        return Step("restore", why, reserved, before.preset, before.shed, ",".join(back))

    # What was decided.

    def _take(self, step: Step, at: Situation | None, now_s: float) -> Step | None:
        if step.kind == "hold":
            if self._held_at_s is not None and now_s - self._held_at_s < _HOLD_EVERY_S:
                return None
            self._held_at_s = now_s
            return step
        if step.kind == "move":
            self._looked_elsewhere = True
            return step
        assert at is not None
        if self._undone_at_s is not None:
            self._undone_at_s = None
            self._failures += 1
        self._taken.append(_Undo(at.preset, at.shed, at.reserved_cores))
        self.acted_at_s = now_s
        return step


def _source_is_late(at: Situation) -> bool:
    """It has time to spare, and is not behind what it was given."""
    spare = at.used_cores < _SOURCE_LATE_USE * at.reserved_cores and at.idle_cores > 0.1
    return spare and at.lag_s < _SOURCE_LATE_LAG_S
