"""The forecasters there are, by the name that settings use. Pure."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from traffic_manager.forecasting.base import Forecaster
from traffic_manager.forecasting.boosting import Boosting
from traffic_manager.forecasting.damped_drift import DampedDrift
from traffic_manager.forecasting.expert import Expert
from traffic_manager.forecasting.hedge import Hedge
from traffic_manager.forecasting.holt import Holt
from traffic_manager.forecasting.least_squares import LeastSquares, Model
from traffic_manager.forecasting.lstm import Lstm
from traffic_manager.forecasting.persistence import Persistence
from traffic_manager.forecasting.seasonal import Seasonal

KINDS = ("persistence", "damped_drift", "holt", "rls", "seasonal", "hedge", "boosting", "lstm")

_MODELS = (
    Model("slow", 0.9995),
    Model("fast", 0.998),
)
_CARRIED = ((1,), (1, 2, 3))
"""Days whose growth is added to what the first of them says."""
_RICH_MODELS = (
    Model("slow", 0.9998),
    Model("fast", 0.999),
)


def make_hedge(
    *,
    step_s: float,
    horizons_s: Sequence[float],
    extra: Sequence[Callable[..., Expert]] = (),
    kind: str = "hedge",
) -> Hedge:
    """The mix of all experts, and of `extra` ones: each is called with `step_s` and `horizons_s`,
    and shown by its kind."""
    given: dict[str, Any] = {"step_s": step_s, "horizons_s": horizons_s}
    experts: list[tuple[str, Expert]] = [
        ("persistence", Persistence(**given)),
        ("damped_drift_10", DampedDrift(**given, window_steps=10, damping_steps=10)),
        ("damped_drift_20", DampedDrift(**given, window_steps=20, damping_steps=60)),
        ("damped_drift_40", DampedDrift(**given, window_steps=40, damping_steps=60)),
        ("holt", Holt(**given)),
        ("smoothing", Holt(**given, level_rate=0.4, trend_rate=0.0)),
        ("rls", LeastSquares(**given, models=_MODELS, rich=False, carried=_CARRIED)),
        ("rich", LeastSquares(**given, models=_RICH_MODELS)),
        ("yesterday", Seasonal(**given, days=(1,))),
        ("three_days", Seasonal(**given, days=(1, 2, 3))),
        ("last_week", Seasonal(**given, days=(7,))),
    ]
    for make in extra:
        expert = make(step_s=step_s, horizons_s=horizons_s)
        experts.append((expert.kind, expert))
    return Hedge(step_s=step_s, horizons_s=horizons_s, experts=experts, kind=kind)


_EXPERTS: Mapping[str, Callable[..., Expert]] = {
    "persistence": Persistence,
    "damped_drift": DampedDrift,
    "holt": Holt,
    "rls": LeastSquares,
    "seasonal": Seasonal,
    "hedge": make_hedge,
    "boosting": partial(make_hedge, kind="boosting", extra=(Boosting,)),
    "lstm": partial(make_hedge, kind="lstm", extra=(Lstm,)),
}


def make_expert(kind: str, *, step_s: float, horizons_s: Sequence[float]) -> Expert:
    """The expert of that name. Raises ValueError for a name that is none."""
    if kind not in _EXPERTS:
        raise ValueError(f"there is no forecaster of kind {kind}; allowed: {', '.join(KINDS)}")
    return _EXPERTS[kind](step_s=step_s, horizons_s=horizons_s)


def make_forecaster(kind: str, *, step_s: float, horizons_s: Sequence[float]) -> Forecaster:
    """A forecaster of that kind that learned nothing yet.

    `step_s` is the usual time between samples; all that experts look back on is counted in it.
    `horizons_s` are those at which it learns; between them it interpolates.
    """
    return Forecaster(make_expert(kind, step_s=step_s, horizons_s=horizons_s))


def load_forecaster(state: Mapping[str, Any]) -> Forecaster:
    """The one that gave `state` (`Forecaster.save`), exactly as it was."""
    made = make_forecaster(state["kind"], step_s=state["step_s"], horizons_s=state["horizons_s"])
    made.restore(state)
    return made
