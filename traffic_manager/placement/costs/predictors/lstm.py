"""An LSTM that reads what a worker did lately before it answers; extra `lstm` (torch). Pure.

As the first source has it: from a channel's signature and the recent history of a worker to the CPU
it will take per core, or the load once it is accepted; which of the two is what it is taught.
Features named `past_K_NAME` are that history, K reports back (`worker_past` makes them); all others
stand at every step. Where there is no history it is a single step. Targets are logarithms. Only a
fit needs torch: an answer is some small products in numpy, and the model is kept as plain numbers.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surgecast.errors import LocalError
from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Prediction, Predictor, Values
from traffic_manager.placement.costs.predictors.linear import positive, scaling

UNITS = 32
STEPS_MAX = 64
_PAST = re.compile(r"^past_([0-9]{1,3})_(.+)$")
_BATCH = 64
_BATCHES = 1500
"""Of one fit, however many rows there are."""
_LEARNING_RATE = 5e-3
_DECAY = 1e-4


class Lstm(Predictor):
    """See above."""

    kind = "lstm"

    def predict(self, features: Mapping[str, float]) -> Prediction:
        """The past counts as far as it was learned: how a worker came to where it is makes no task
        unheard of."""
        past = {
            name: min(max(features[name], low), high)
            for name, low, high in zip(self.names, self._low, self._high, strict=True)
            if name in features and _PAST.match(name)
        }
        return super().predict({**features, **past})

    def _fit(self, rows: Values, values: Values) -> None:
        torch = torch_module()
        torch.manual_seed(self.seed)
        torch.set_num_threads(1)
        self._mean, self._scale = scaling(rows)
        logs = np.log(values)
        self._shift, self._spread = float(logs.mean()), float(logs.std()) or 1.0
        read = torch.from_numpy(self._sequences(rows).astype(np.float32))
        target = torch.from_numpy(((logs - self._shift) / self._spread).astype(np.float32))
        net = torch.nn.LSTM(read.shape[2], UNITS, batch_first=True)
        head = torch.nn.Sequential(
            torch.nn.Linear(UNITS + read.shape[2], UNITS),
            torch.nn.ReLU(),
            torch.nn.Linear(UNITS, 1),
        )
        chosen = [*net.parameters(), *head.parameters()]
        steps = torch.optim.AdamW(chosen, lr=_LEARNING_RATE, weight_decay=_DECAY)
        slower = torch.optim.lr_scheduler.OneCycleLR(steps, _LEARNING_RATE, total_steps=_BATCHES)
        for _ in range(_BATCHES):
            batch = torch.randint(len(read), (min(_BATCH, len(read)),))
            held = net(read[batch])[0][:, -1]
            said = head(torch.cat([held, read[batch][:, -1]], dim=1))[:, 0]
            loss = torch.nn.functional.huber_loss(said, target[batch])
            steps.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(chosen, 1.0)
            steps.step()
            slower.step()
        self._weights = _weights_of(net, head)

    def _predict(self, rows: Values) -> Values:
        read = self._sequences(rows)
        weights = self._weights
        hidden, cell = np.zeros((len(rows), UNITS)), np.zeros((len(rows), UNITS))
        for place in range(read.shape[1]):
            gates = read[:, place] @ weights["input"].T + hidden @ weights["hidden"].T
            gates = gates + weights["bias"]
            # Torch's order: input, forget, candidate, output.
            opened = 1 / (1 + np.exp(-np.clip(gates, -30, 30)))
            candidate = np.tanh(gates[:, 2 * UNITS : 3 * UNITS])
            cell = opened[:, UNITS : 2 * UNITS] * cell + opened[:, :UNITS] * candidate
            hidden = opened[:, 3 * UNITS :] * np.tanh(cell)
        last = np.concatenate([hidden, read[:, -1]], axis=1)
        found = np.maximum(last @ weights["head"].T + weights["head_bias"], 0.0)
        found = (found @ weights["out"].T + weights["out_bias"])[:, 0]
        return positive(found * self._spread + self._shift, is_log=True)

    def _sequences(self, rows: Values) -> Values:
        """Scaled, shape (rows, steps, inputs), oldest step first."""
        scaled = np.clip((rows - self._mean) / self._scale, -10, 10)
        still, past = places_of(self.names)
        steps = sorted({back for back, _ in past}, reverse=True) or [0]
        kinds = sorted({name for _, name in past})
        read = np.zeros((len(rows), len(steps), len(still) + len(kinds)))
        read[:, :, : len(still)] = scaled[:, None, still]
        for (back, name), column in past.items():
            read[:, steps.index(back), len(still) + kinds.index(name)] = scaled[:, column]
        return read

    def _state(self) -> Mapping[str, Any]:
        return {
            "mean": packed(self._mean),
            "scale": packed(self._scale),
            "shift": self._shift,
            "spread": self._spread,
            "weights": {name: packed(array) for name, array in self._weights.items()},
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._mean, self._scale = unpacked(state["mean"]), unpacked(state["scale"])
        self._shift, self._spread = float(state["shift"]), float(state["spread"])
        self._weights = {name: unpacked(array) for name, array in state["weights"].items()}
        if not all(np.isfinite(array).all() for array in self._weights.values()):
            raise ValueError("weights of an LSTM that are no numbers")


def places_of(names: tuple[str, ...]) -> tuple[list[int], dict[tuple[int, str], int]]:
    """Columns that stand at every step, and those of the past by how far back and what."""
    still, past = [], {}
    for column, name in enumerate(names):
        found = _PAST.match(name)
        if found is None or int(found[1]) >= STEPS_MAX:
            still.append(column)
        else:
            past[int(found[1]), found[2]] = column
    return still, past


def torch_module() -> Any:
    """Imported here: only a fit pays for it."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise LocalError("there is no torch: pip install 'surgecast[lstm]'") from error


def _weights_of(net: Any, head: Any) -> dict[str, NDArray[np.float64]]:
    found = {
        "input": net.weight_ih_l0,
        "hidden": net.weight_hh_l0,
        "bias": net.bias_ih_l0 + net.bias_hh_l0,
        "head": head[0].weight,
        "head_bias": head[0].bias,
        "out": head[2].weight,
        "out_bias": head[2].bias,
    }
    return {name: of.detach().numpy().astype(np.float64) for name, of in found.items()}
