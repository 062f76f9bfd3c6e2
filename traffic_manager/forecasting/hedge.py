"""A mix of experts whose weights follow who was right, horizon by horizon. Pure.

Multiplicative weights with delayed feedback (Freund and Schapire 1997). When the time that was
forecast has come, what counts is not how wrong an expert was by himself but whether more of him
would have made the mix less wrong (the gradient of its absolute error; Cesa-Bianchi and Lugosi
2006, section 2.5): so experts that err to opposite sides are both kept. Losses are in units of what
persistence has been wrong by lately. A little of the weight goes back to where it began each time
(Herbster and Warmuth 1998), so that no expert is lost for ever. Most of it begins on persistence:
others must earn theirs.

How fast weights follow is not one number: there is a mix for each of several rates, and what is
told is the mean of the slower ones, in a rise that of the faster ones, which know of it already.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.notes import PENDING_MAX, Due, Notes, steps_of
from traffic_manager.forecasting.packing import Values, packed, unpacked
from traffic_manager.forecasting.past import Past

_RATES = (0.05, 0.1, 0.2, 0.3)
"""How fast weights follow, per loss of one usual error of persistence."""
_CALM = np.asarray((1, 1, 1, 0)) / 3
_RISE = np.asarray((0, 0, 1, 1)) / 2
_RISES_FROM = 2.0
"""Times the usual movement."""
_SHARE = 0.0005
"""Of all weight, goes back to where it began at each feedback."""
_START = 0.8
"""Weight of persistence before anything is known."""
_LOSS_MAX = 4.0
_USUAL_NOTES = 200
_CREDIT_FULL = 10.0
_CREDIT_PENDING = 4.0
"""Usual errors that the mix must have saved to be believed wholly; and so many more for each note
of which nothing is known yet."""
_CREDIT_MAX = 3.0
"""Times that: what was earned long ago is not enough for ever."""
_LOAN = 2.0
_LOAN_SHARE = 0.01
"""Usual errors, and share of all errors of persistence, that may be lost to it."""
_LENT_UNTIL = 10
"""Notes before which a horizon goes by what was learned at the next shorter one."""


class Hedge(Expert):
    """Experts, and how much each is believed at each horizon. The first one is persistence."""

    def __init__(
        self,
        *,
        step_s: float,
        horizons_s: Sequence[float],
        experts: Sequence[tuple[str, Expert]],
        kind: str = "hedge",
    ) -> None:
        super().__init__(step_s=step_s, horizons_s=horizons_s)
        self.kind = kind
        self.experts = dict(experts)
        self.voices_known = tuple(
            f"{name}.{voice}" if len(expert.voices) > 1 else name
            for name, expert in self.experts.items()
            for voice in expert.voices
        )
        shape = (len(self.horizons_s), len(self.voices_known))
        rates = len(_RATES)
        rest = (1 - _START) / max(1, shape[1] - 1)
        self._start: Values = np.full(shape[1], rest)
        self._start[0] = 1 - rest * (shape[1] - 1)
        self._weights: Values = np.tile(self._start, (rates, shape[0], 1))
        self._share: Values = np.tile(_CALM[:, None], (1, shape[0]))
        """What each rate has in what is told, at each horizon."""
        self._usual: Values = np.zeros(shape[0])
        """What persistence has been wrong by lately."""
        self._seen: Values = np.zeros(shape[0])
        self._opinions: Values = np.zeros(shape)
        self._told: Values = np.zeros(shape[0])
        steps = steps_of(self.horizons_s, step_s)
        self._full = _CREDIT_FULL + _CREDIT_PENDING * np.minimum(steps, PENDING_MAX)
        self._credit: Values = np.zeros(shape[0])
        """What the mix would have saved against persistence, in usual errors; never below 0."""
        self._ledger: Values = np.zeros(shape[0])
        """What was saved indeed; it may be less than 0."""
        self._judged: Values = np.zeros(shape[0])
        """How many notes came due, all in all."""
        self._notes = Notes(steps, shape[1] + rates + 2)

    def learn(self, past: Past) -> None:
        for due in self._notes.due(past):
            self._weigh(due)
        for expert in self.experts.values():
            expert.learn(past)
        opinions = [expert.opinions(past) for expert in self.experts.values()]
        self._opinions = np.maximum(np.concatenate(opinions, axis=1), 0.0)
        rises = past.movement.now > _RISES_FROM
        self._share = np.where(rises, _RISE[:, None], _CALM[:, None])
        mixes, stays = self._mixes(), self._opinions[:, 0]
        mixed = (self._share * mixes).sum(axis=0)
        self._told = stays + self._trust() * (mixed - stays)
        if self._notes.wanted(past.step):
            told = np.stack([*mixes, mixed, self._told], axis=1)
            self._notes.put(past.step, np.concatenate([self._opinions, told], axis=1))

    def expect(self, past: Past) -> Values:
        return self._told.copy()

    def _trust(self) -> Values:
        """How far the mix is believed at each horizon against persistence, 0 to 1."""
        earned = np.clip(self._credit / self._full, 0.0, 1.0)
        loan = _LOAN + _LOAN_SHARE * self._judged
        left = np.clip((self._ledger + loan) / loan, 0.0, 1.0)
        lenders = self._lenders()
        trust: Values = (earned * left)[lenders] * self.horizons_s[lenders] / self.horizons_s
        return trust

    def _mixes(self) -> Values:
        """What each rate has made of the opinions: shape (rates, horizons)."""
        mixes: Values = (self._weights[:, self._lenders()] * self._opinions).sum(axis=2)
        return mixes

    def _lenders(self) -> NDArray[np.int64]:
        """From which horizon each one's weights are taken: its own, once it has learned some."""
        own = np.where(self._seen >= _LENT_UNTIL, np.arange(len(self._seen)), 0)
        lenders: NDArray[np.int64] = np.maximum.accumulate(own)
        return lenders

    def _weigh(self, due: Due) -> None:
        places, rates = due.places, len(_RATES)
        opinions, mixes = due.rows[:, : -rates - 2], due.rows[:, -rates - 2 : -2].T
        mixed, told = due.rows[:, -2], due.rows[:, -1]
        seen = np.minimum(self._seen[places] + 1, _USUAL_NOTES)
        errors = np.abs(opinions[:, 0] - due.came)
        usual = self._usual[places] + (errors - self._usual[places]) / seen
        self._seen[places], self._usual[places] = seen, usual
        side = np.where(usual > 1e-9 * due.came, np.sign(mixes - due.came), 0.0)
        unit = np.where(usual > 0, usual, 1.0)
        losses = (opinions - mixes[:, :, None]) * (side / unit)[:, :, None]
        gains = -np.asarray(_RATES)[:, None, None] * np.clip(losses, -_LOSS_MAX, _LOSS_MAX)
        raised = self._weights[:, places] * np.exp(gains)
        raised /= raised.sum(axis=2, keepdims=True)
        credit = self._credit[places] + _saved(errors, mixed - due.came, usual)
        self._credit[places] = np.clip(credit, 0.0, _CREDIT_MAX * self._full[places])
        self._ledger[places] += _saved(errors, told - due.came, usual)
        self._judged[places] += 1
        self._weights[:, places] = (1 - _SHARE) * raised + _SHARE * self._start

    def wanted_fit(self) -> FitJob | None:
        wanted = (expert.wanted_fit() for expert in self.experts.values())
        return next((job for job in wanted if job is not None), None)

    def fitted(self, result: Fitted) -> None:
        if result.expert not in self.experts:
            raise ValueError(f"there is no expert {result.expert} in {self.kind}")
        self.experts[result.expert].fitted(result)

    def explain(self) -> dict[str, Any]:
        told = (self._share[:, :, None] * self._weights).sum(axis=0)
        weights = {
            f"{horizon_s:g}": dict(zip(self.voices_known, map(_rounded, row), strict=True))
            for horizon_s, row in zip(self.horizons_s, told, strict=True)
        }
        experts = {name: expert.explain() for name, expert in self.experts.items()}
        trust = {
            f"{horizon_s:g}": _rounded(one)
            for horizon_s, one in zip(self.horizons_s, self._trust(), strict=True)
        }
        return {
            "weights_by_horizon_s": weights,
            "trust_by_horizon_s": trust,
            "experts": experts,
        }

    def save(self) -> Mapping[str, Any]:
        return {
            "weights": packed(self._weights),
            "share": packed(self._share),
            "credit": packed(self._credit),
            "ledger": packed(self._ledger),
            "judged": packed(self._judged),
            "usual": packed(self._usual),
            "seen": packed(self._seen),
            "opinions": packed(self._opinions),
            "told": packed(self._told),
            "notes": self._notes.save(),
            "experts": {name: dict(expert.save()) for name, expert in self.experts.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self._weights[:] = unpacked(state["weights"])
        self._share = unpacked(state["share"])
        self._credit[:] = unpacked(state["credit"])
        self._ledger[:] = unpacked(state["ledger"])
        self._judged[:] = unpacked(state["judged"])
        self._usual[:] = unpacked(state["usual"])
        self._seen[:] = unpacked(state["seen"])
        self._opinions[:] = unpacked(state["opinions"])
        self._told[:] = unpacked(state["told"])
        self._notes.load(state["notes"])
        for name, expert in self.experts.items():
            expert.load(state["experts"][name])


def _saved(stays: Values, errors: Values, usual: Values) -> Values:
    """How much smaller errors were than those of persistence, in usual ones."""
    saved = np.where(usual > 0, stays - np.abs(errors), 0.0) / np.where(usual > 0, usual, 1.0)
    return np.clip(saved, -_LOSS_MAX, _LOSS_MAX)


def _rounded(weight: float) -> float:
    return round(float(weight), 4) if math.isfinite(weight) else 0.0
