"""Which of a channel's two sources is on air (pure): facts about both and `now` in, switches out.

    on primary --(lost, frozen, black or silent for its threshold; backup is there)--> on backup
    on backup  --(primary without a fault for the hold time)------------------------> on primary
    on backup  --(backup lost or faulty, primary better)----------------------------> on primary

A source that delivers is always better than the slate, whatever its picture: with both in
trouble nothing is switched, unless the one on air is lost and the other is not. A return that
fails soon doubles the hold time of the next, so that a primary that comes and goes is not followed.
An operator may pin a source; then nothing else counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from segmenter.faults import FAULTS, Fault
from segmenter.settings import BackupSettings

InputName = Literal["primary", "backup"]
Mode = Literal["auto", "primary", "backup"]
Reason = Literal["lost", "frozen", "black", "silence", "healthy", "better", "operator"]

_PICTURES_MIN = 2
"""Of two pictures it can be told whether they differ."""
_RESCUE_S = 2.0
"""How long the primary must be healthy before it relieves a backup that is in trouble itself."""
_PROVEN_S = 60.0
"""A return that is undone within this time, or the hold time, has failed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One source, now."""

    ready: bool
    """It is connected, or could be opened, and is known to be video."""
    heard_at: float | None = None
    """When something last came of it; None where it is opened only when it goes on air."""
    pictures: int = 0
    """Pictures that were looked at since it was last opened."""
    faults: Mapping[Fault, float] = field(default_factory=dict)
    """Faults that have not ended, and for how many seconds they have lasted."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Put `to` on air."""

    to: InputName
    reason: Reason
    words: str
    """For the log and for operators."""

    @property
    def urgent(self) -> bool:
        """Nothing more comes from what is on air: no good moment is worth waiting for."""
        return self.reason == "lost"


def is_good_moment(
    now: float, published_at: float | None, segment_s: float, *, at_once: bool
) -> bool:
    """Whether a switch now gives viewers the next segment when they expect it (R21).

    A source whose last seconds are kept has a segment ready `at_once`, after an encoder's start;
    another one needs the time of a segment for it.
    """
    if published_at is None:
        return True
    passed = (now - published_at) / segment_s
    return passed >= 0.4 if at_once else passed <= 0.3 or passed >= 1.2


class Failover:
    """Decides for one channel. It starts on its primary."""

    def __init__(self, settings: BackupSettings, *, now: float, patience_s: float) -> None:
        """`patience_s` is how long the primary may take to come at the channel's start."""
        self._settings = settings
        self.on_air: InputName = "primary"
        self.mode: Mode = "auto"
        self.since = now
        self.words: str | None = None
        """Why the backup is on air."""
        self._patient_until = now + patience_s
        self._healthy_since: float | None = None
        self._returned_at: float | None = None
        self._failures = 0

    @property
    def return_hold_s(self) -> float | None:
        """How long the primary must be healthy; None where only an operator returns to it."""
        hold_s, settings = self._settings.return_after_s, self._settings
        if hold_s is None:
            return None
        return float(min(hold_s * 2 ** min(self._failures, 16), settings.return_after_max_s))

    def pin(self, mode: Mode) -> None:
        """What an operator asks for; `auto` gives the decision back."""
        self.mode = mode
        self._healthy_since = None

    def look(self, primary: Facts, backup: Facts, now: float) -> Switch | None:
        """What must be done now; to be followed by `switched` once it is done."""
        if self.mode != "auto":
            if self.mode == self.on_air:
                return None
            return Switch(self.mode, "operator", f"the operator asked for the {self.mode}")
        if self.on_air == "primary":
            return self._leave_primary(primary, backup, now)
        return self._leave_backup(primary, backup, now)

    def switched(self, switch: Switch, now: float) -> None:
        """`switch` was carried out."""
        if switch.to == "primary":
            self._returned_at = now
        elif self._returned_at is not None:
            failed = now - self._returned_at < max(_PROVEN_S, self.return_hold_s or 0.0)
            self._failures = self._failures + 1 if failed and switch.reason != "operator" else 0
            self._returned_at = None
        self.on_air, self.since = switch.to, now
        self.words = switch.words if switch.to == "backup" else None
        self._healthy_since = None

    def trouble(self, facts: Facts, now: float) -> tuple[Reason, str] | None:
        """What is wrong with a source beyond its threshold."""
        if self._is_lost(facts, now):
            return "lost", "nothing comes" if facts.ready else "it is not there"
        for fault in FAULTS:
            limit_s, lasted_s = self._threshold_s(fault), facts.faults.get(fault, 0.0)
            if limit_s is not None and lasted_s >= limit_s:
                return fault, f"{fault} for {lasted_s:.1f} s"
        return None

    def _leave_primary(self, primary: Facts, backup: Facts, now: float) -> Switch | None:
        if not primary.ready and now < self._patient_until:
            return None
        if primary.ready:
            self._patient_until = now
        trouble = self.trouble(primary, now)
        if trouble is None or not backup.ready or self._is_lost(backup, now):
            return None
        return Switch("backup", trouble[0], f"primary: {trouble[1]}")

    def _leave_backup(self, primary: Facts, backup: Facts, now: float) -> Switch | None:
        if not self._is_healthy(primary, now):
            self._healthy_since = None
        elif self._healthy_since is None:
            self._healthy_since = now
        healthy_s = None if self._healthy_since is None else now - self._healthy_since
        trouble = self.trouble(backup, now)
        if trouble is not None and trouble[0] == "lost":
            if primary.ready and not self._is_lost(primary, now):
                return Switch("primary", "lost", f"backup: {trouble[1]}")
            return None
        hold_s = self.return_hold_s
        if healthy_s is not None and hold_s is not None and healthy_s >= hold_s:
            return Switch("primary", "healthy", f"primary: healthy for {healthy_s:.1f} s")
        if trouble is not None and healthy_s is not None and healthy_s >= self._rescue_s:
            return Switch("primary", "better", f"backup: {trouble[1]}")
        return None

    @property
    def _rescue_s(self) -> float:
        hold_s = _RESCUE_S * 2 ** min(self._failures, 16)
        return float(min(hold_s, self._settings.return_after_max_s))

    def _is_lost(self, facts: Facts, now: float) -> bool:
        """A source that has ended is lost at once: nothing can come of it."""
        limit_s = self._settings.loss_s
        if limit_s is None:
            return False
        silent = facts.heard_at is not None and now - facts.heard_at >= limit_s
        return not facts.ready or silent

    def _is_healthy(self, primary: Facts, now: float) -> bool:
        """There, with pictures that differ and are not black; a short silence is no fault."""
        if not primary.ready or self._is_lost(primary, now) or primary.pictures < _PICTURES_MIN:
            return False
        for fault, lasted_s in primary.faults.items():
            limit_s = self._threshold_s(fault)
            if limit_s is not None and (fault != "silence" or lasted_s >= limit_s / 2):
                return False
        return True

    def _threshold_s(self, fault: Fault) -> float | None:
        settings = self._settings
        return {
            "frozen": settings.frozen_s,
            "black": settings.black_s,
            "silence": settings.silence_s,
        }[fault]
