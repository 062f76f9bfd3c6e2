"""The predictors there are, by the name that settings use. Pure.

A kind is imported when it is made: nobody pays for a library that he does not use.
"""

import importlib
from collections.abc import Mapping

from traffic_manager.placement.costs.predictors import saving
from traffic_manager.placement.costs.predictors.base import Predictor

_PLACES: Mapping[str, tuple[str, str]] = {
    "svr_seed": ("support_vectors", "SeedSvr"),
    "svr": ("support_vectors", "Svr"),
    "sgd_raw": ("linear", "RawSgd"),
    "sgd": ("linear", "Sgd"),
    "forest": ("ensembles", "Forest"),
    "boosting": ("ensembles", "Boosting"),
    "lightgbm": ("ensembles", "LightGbm"),
    "lstm": ("lstm", "Lstm"),
    "dqn": ("agents", "Dqn"),
    "dqn_per_worker": ("agents", "DqnPerWorker"),
    "profile": ("profile", "Profile"),
    "mean_per_rendition": ("mean_per_rendition", "MeanPerRendition"),
    "load_curve": ("load_curve", "LoadCurve"),
}
KINDS = tuple(kind for kind in _PLACES if kind != "load_curve")
"""Those that learn from any features; the other one is for whole workers."""


def make_predictor(kind: str, seed: int = 0) -> Predictor:
    """A predictor of that kind that learned nothing yet. Raises ValueError for a name that is
    none, LocalError where the library it needs is not installed (at its first fit)."""
    if kind not in _PLACES:
        raise ValueError(f"there is no predictor of kind {kind!r}; allowed: {', '.join(_PLACES)}")
    module, name = _PLACES[kind]
    package = __name__.rpartition(".")[0]
    made: Predictor = getattr(importlib.import_module(f"{package}.{module}"), name)(seed)
    return made


def load_predictor(content: bytes) -> Predictor:
    """The one that gave `content` (`Predictor.save`), exactly as it was. Raises ValueError for
    what none can have given."""
    made = make_predictor(saving.kind_of(content))
    made.restore(content)
    return made
