"""One scenario as many: what a study file says beyond a scenario, and what each seed makes of it.

A study is a scenario whose numbers may be ranges. `vary` gives names to them, curves use the names
in braces (`flash:from=1,to={height},over={over_s}`), and each seed draws its own values. With
`noise`, an audience also wanders around its curve. Pure: chance comes in as a generator.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from player.swarm.arrivals import Curve, Leave
from player.swarm.words import crowd_of
from simulation.scenario import PolicyKind, Scenario, SimulatedCrowd
from surgecast.control.messages import Label
from surgecast.errors import ConfigError

SEEDS_MAX = 10_000
POINTS_MAX = 20_000
"""Of a curve that wanders."""
_WANDER_S = 30.0
"""How long an audience stays above or below its curve: the correlation time of the noise."""
_POINT_EVERY_S = 5.0
"""Straight in between: viewers do not come and go at each step of the simulation for it."""

Range = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]


class Study(Scenario):
    """A scenario, what differs from seed to seed, and which policies are compared."""

    about: str = Field(default="", max_length=1000, description="for people: what it shows")
    policies: tuple[PolicyKind, ...] = Field(default=("reactive", "predictive"), min_length=1)
    seeds: int = Field(default=1, ge=1, le=SEEDS_MAX, description="runs of each policy")
    vary: dict[Label, Range] = Field(
        default_factory=dict,
        max_length=64,
        description="name: [least, most]; drawn for each seed, evenly by logarithm, and put into "
        "`arrivals` where {name} stands",
    )
    noise: Range = Field(
        default=(0.0, 0.0),
        description="[least, most]: how far audiences wander around their curves, as a share",
    )

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Self:
        for name, (least, most) in [*self.vary.items(), ("noise", self.noise)]:
            if least > most:
                raise ValueError(f"{name}: {least:g} is above {most:g}; expected [least, most]")
        return self

    @model_validator(mode="after")
    def _arrivals_are_curves(self) -> Self:
        for place, crowd in enumerate(self.crowds):
            try:
                curve_of(crowd, dict.fromkeys(self.vary, 1.0))
            except ConfigError as error:
                raise ValueError(f"crowds.{place}: {error}".replace("--arr", "arr")) from error
        return self


def scenario_for(study: Study, policy: PolicyKind, seed: int) -> Scenario:
    """What is run: the same crowds for all policies of a seed. Raises ConfigError."""
    dice = np.random.default_rng(seed)
    drawn = {name: _drawn(limits, dice) for name, limits in study.vary.items()}
    noise = _drawn(study.noise, dice)
    crowds = tuple(_settled(crowd, drawn, noise, study, dice) for crowd in study.crowds)
    values = {name: getattr(study, name) for name in Scenario.model_fields}
    return Scenario(**{**values, "policy": policy, "seed": seed, "crowds": crowds})


def curve_of(crowd: SimulatedCrowd, drawn: Mapping[str, float]) -> Curve:
    """With the names of `vary` filled in. Raises ConfigError."""
    try:
        text = crowd.arrivals.format_map({name: f"{value:.6g}" for name, value in drawn.items()})
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"arrivals: {crowd.arrivals}: no name {error} in vary; there are: "
            f"{', '.join(drawn) or 'none'}"
        ) from error
    return crowd_of(text, (Leave.FOLLOW, 0.0)).curve


def as_points(curve: Curve) -> str:
    """A curve in the words of `arrivals`."""
    return "points:" + ",".join(f"{at:.10g}={viewers:.6g}" for at, viewers in curve.points)


def _settled(
    crowd: SimulatedCrowd,
    drawn: Mapping[str, float],
    noise: float,
    study: Study,
    dice: np.random.Generator,
) -> SimulatedCrowd:
    curve = curve_of(crowd, drawn)
    if noise > 0:
        curve = _wandering(curve, noise, study.duration_s, dice)
    return crowd.model_copy(update={"arrivals": as_points(curve)})


def _drawn(limits: Range, dice: np.random.Generator) -> float:
    """A throw for every name, also where there is nothing to choose: others stay as they are."""
    least, most = limits
    place = float(dice.random())
    if least <= 0:
        return least + (most - least) * place
    return math.exp(math.log(least) + (math.log(most) - math.log(least)) * place)


def _wandering(curve: Curve, noise: float, duration_s: float, dice: np.random.Generator) -> Curve:
    """Times the exponential of an Ornstein-Uhlenbeck process, exact at its points (Gillespie,
    Phys. Rev. E 54, 1996), of standard deviation `noise`. The corners of the curve stay."""
    every_s = max(_POINT_EVERY_S, duration_s / POINTS_MAX)
    times = np.arange(0.0, duration_s + every_s, every_s)
    keep = math.exp(-every_s / _WANDER_S)
    kicks = noise * math.sqrt(1 - keep * keep) * dice.standard_normal(len(times))
    level, levels = noise * float(dice.standard_normal()), []
    for kick in kicks.tolist():
        levels.append(level)
        level = keep * level + kick
    moments = sorted({*times.tolist(), *(at for at, _ in curve.points if at <= duration_s)})
    around = np.interp(moments, times, levels)
    return Curve(
        tuple((at, curve.at(at) * math.exp(w)) for at, w in zip(moments, around, strict=True))
    )
