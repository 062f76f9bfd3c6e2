"""A small LSTM on the moves of the near past; the extra `lstm` (torch). Pure.

32 units read the last hour of slots, relative to the present; a line makes growth at each horizon
of what they hold at the end (Hochreiter and Schmidhuber 1997). Every fit starts from the model of
the day before: it is fine-tuned, never frozen. Only the fit needs torch: a forecast is some small
products in numpy, and the model is kept as plain numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from surgecast.errors import LocalError
from traffic_manager.forecasting.features import Places, floor_of
from traffic_manager.forecasting.fits import FitJob, Fitted
from traffic_manager.forecasting.learned import GrowthModel, LearnedExpert, Training
from traffic_manager.forecasting.past import Values
from traffic_manager.forecasting.slots import Series, Slots, array_of, text_of

UNITS = 32
LOOK_BACK = 60
"""Slots that are read."""
_INPUTS = 2
_SCALE = 8.0
"""Logarithms of ratios are small numbers; an LSTM likes those around 1."""
_RECENT_SLOTS = 5 * 1440
"""A row of this age counts 1/e of a new one."""
_EPOCHS_FIRST, _EPOCHS_AGAIN = 6, 2
_BATCH = 256
_LEARNING_RATE = 2e-3
_SHAPES = {
    "input": (4 * UNITS, _INPUTS),
    "hidden": (4 * UNITS, UNITS),
    "bias": (4 * UNITS,),
}
Weights = Mapping[str, NDArray[np.float32]]


def sequences(values: Series, places: Places, floor: float) -> NDArray[np.float32]:
    """What is read for each place, oldest first: (places, LOOK_BACK, inputs). A value stands as
    its ratio to the present one and to the one before it, in logarithms."""
    back = places[:, None] - np.arange(LOOK_BACK, -1, -1)
    logs = np.log(np.maximum(values[np.maximum(back, 0)].astype(np.float64), floor))
    parts = (logs[:, 1:] - logs[:, -1:], logs[:, 1:] - logs[:, :-1])
    stacked: NDArray[np.float32] = (_SCALE * np.stack(parts, axis=2)).astype(np.float32)
    return stacked


class LstmModel:
    """Weights, and what they expect."""

    def __init__(
        self, horizons: tuple[int, ...], slot_s: float, floor: float, weights: Weights
    ) -> None:
        """Raises ValueError for weights that are not numbers or of other shapes."""
        self.horizons, self.slot_s, self.floor, self.weights = horizons, slot_s, floor, weights
        for name, shape in shapes(len(horizons)).items():
            if weights[name].shape != shape or not np.isfinite(weights[name]).all():
                raise ValueError(f"{name} is {weights[name].shape}; expected: {shape} numbers")

    def growth(self, slots: Slots) -> Values:
        if slots.slot_s != self.slot_s:
            raise ValueError(f"fitted on slots of {self.slot_s:g} s, not {slots.slot_s:g} s")
        read = sequences(slots.values(), np.asarray([len(slots) - 1]), self.floor)[0]
        entering = read @ self.weights["input"].T + self.weights["bias"]
        hidden = np.zeros(UNITS, dtype=np.float32)
        cell = np.zeros(UNITS, dtype=np.float32)
        for step in entering:
            gates = step + self.weights["hidden"] @ hidden
            # Torch's order: input, forget, candidate, output.
            opened = 1 / (1 + np.exp(-np.clip(gates, -30, 30)))
            candidate = np.tanh(gates[2 * UNITS : 3 * UNITS])
            cell = opened[UNITS : 2 * UNITS] * cell + opened[:UNITS] * candidate
            hidden = opened[3 * UNITS :] * np.tanh(cell)
        growth: Values = (self.weights["head"] @ hidden + self.weights["head_bias"]).astype(
            np.float64
        )
        return growth

    def save(self) -> dict[str, Any]:
        return {
            "horizons": list(self.horizons),
            "slot_s": self.slot_s,
            "floor": self.floor,
            "weights": {name: text_of(array) for name, array in self.weights.items()},
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What `save` gave. Raises ValueError for what it cannot have given."""
        horizons = tuple(int(horizon) for horizon in state["horizons"])
        weights = {
            name: array_of(state["weights"][name], "<f4").reshape(shape)
            for name, shape in shapes(len(horizons)).items()
        }
        return cls(horizons, float(state["slot_s"]), float(state["floor"]), weights)


def shapes(horizons: int) -> dict[str, tuple[int, ...]]:
    """Of every array of weights."""
    return {**_SHAPES, "head": (horizons, UNITS), "head_bias": (horizons,)}


@dataclass(frozen=True)
class LstmJob(FitJob):
    """One fit, from `start` on if there is one."""

    expert: str
    training: Training
    start: Mapping[str, Any] | None
    """What the model before gave to `save`."""

    def run(self) -> Fitted:
        """Raises LocalError where torch is not installed."""
        torch = _torch()
        torch.manual_seed(0)
        torch.set_num_threads(1)
        training, floor = self.training, floor_of(self.training.values)
        before = None if self.start is None else LstmModel.load(self.start)
        reads, growths, weights = self._rows(floor)
        net, head = _made(len(training.horizons), before)
        chosen = [*net.parameters(), *head.parameters()]
        steps = torch.optim.Adam(chosen, lr=_LEARNING_RATE)
        epochs, least = (_EPOCHS_FIRST, 300) if before is None else (_EPOCHS_AGAIN, 100)
        for _ in range(max(epochs, least * _BATCH // len(reads))):  # little data, more rounds
            for batch in torch.randperm(len(reads)).split(_BATCH):
                said = head(net(reads[batch])[0][:, -1])
                # A growth that has not come true yet weighs nothing.
                loss = (weights[batch] * (said - growths[batch]).abs()).mean()
                steps.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(chosen, 1.0)
                steps.step()
        model = LstmModel(training.horizons, training.slot_s, floor, _weights_of(net, head))
        return Fitted(self.expert, {"seen": training.seen, "model": model.save()})

    def _rows(self, floor: float) -> tuple[Any, Any, Any]:
        """What is read, what grew, and how much each counts: tensors."""
        torch = _torch()
        training = self.training
        places = training.places()
        level = training.level(places, floor)
        level *= np.exp((places - len(training.values)) / _RECENT_SLOTS)
        found = [training.growth(places, horizon, floor) for horizon in training.horizons]
        growths = np.stack([growth for growth, _ in found], axis=1)
        weights = np.stack([level * there for _, there in found], axis=1)
        arrays = (sequences(training.values, places, floor), growths, weights / weights.mean())
        reads, grown, counts = (torch.from_numpy(a.astype(np.float32)) for a in arrays)
        return reads, grown, counts


def _torch() -> Any:
    """Imported here: only where there is a fit, in a process of its own, is it paid for."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise LocalError("there is no torch: pip install 'surgecast[lstm]'") from error


def _made(horizons: int, before: LstmModel | None) -> tuple[Any, Any]:
    """The layers, with the weights of `before`."""
    torch = _torch()
    net = torch.nn.LSTM(_INPUTS, UNITS, batch_first=True)
    head = torch.nn.Linear(UNITS, horizons)
    with torch.no_grad():
        torch.nn.init.zeros_(head.weight)  # it begins with *it stays as it is*
        torch.nn.init.zeros_(head.bias)
        if before is not None:
            kept = {name: torch.from_numpy(array.copy()) for name, array in before.weights.items()}
            net.weight_ih_l0.copy_(kept["input"])
            net.weight_hh_l0.copy_(kept["hidden"])
            net.bias_ih_l0.copy_(kept["bias"])
            net.bias_hh_l0.zero_()
            head.weight.copy_(kept["head"])
            head.bias.copy_(kept["head_bias"])
    return net, head


def _weights_of(net: Any, head: Any) -> Weights:
    found = {
        "input": net.weight_ih_l0,
        "hidden": net.weight_hh_l0,
        "bias": net.bias_ih_l0 + net.bias_hh_l0,
        "head": head.weight,
        "head_bias": head.bias,
    }
    return {name: tensor.detach().numpy().copy() for name, tensor in found.items()}


class Lstm(LearnedExpert):
    """Expects the growth that the network reads from the near past."""

    kind = "lstm"

    def _job(self, training: Training) -> FitJob:
        return LstmJob(self.kind, training, None if self._model is None else self._model.save())

    def _read(self, state: Mapping[str, Any]) -> GrowthModel:
        return LstmModel.load(state)
