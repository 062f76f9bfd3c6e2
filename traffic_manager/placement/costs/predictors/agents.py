"""DQN agents behind the face of a predictor; extra `rl`. Pure.

An agent chooses, it does not predict: its actions are sizes of workers, and it is rewarded for one
that is large enough. What it predicts is therefore the smallest size it thinks is enough (as the
paper picks the smallest VM with a positive prediction), in steps of a ladder of sizes that spans
what was learned. `dqn_per_worker` has an agent for each size that says yes or no, the paper's
multi-agent form. What they are made for, ranking workers by what runs on them, is in
`placement.ranking`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Predictor, Table, Values
from traffic_manager.placement.costs.predictors.linear import scaling
from traffic_manager.placement.costs.predictors.q_network import QNetwork, trained

SIZES = 24
SIZES_PER_AGENT = 8
"""Fewer where each has an agent of its own: each is trained for seconds."""
_SIGMA_MIN = 0.05


class Dqn(Predictor):
    """One agent that chooses among all sizes."""

    kind = "dqn"
    sizes_most = SIZES

    def _fit(self, rows: Values, values: Values) -> None:
        self._mean, self._scale = scaling(rows)
        low, high = np.log(values.min()), np.log(values.max())
        self._sizes: Values = np.exp(np.linspace(low, high, self.sizes_most))
        enough = self._sizes[None, :] >= values[:, None] * (1 - 1e-9)
        self._networks = self._agents(self._scaled(rows), np.where(enough, 1.0, -1.0))

    def _agents(self, states: Values, rewards: Values) -> list[QNetwork]:
        return [trained(states, rewards, self.seed)]

    def _worth(self, states: Values) -> Values:
        """Of each size: positive where it is thought to be enough."""
        return self._networks[0].worth(states)

    def _predict(self, rows: Values) -> Values:
        good = self._worth(self._scaled(rows)) > 0
        # Where none is thought to be enough, the largest is the best there is.
        chosen = np.where(good.any(axis=1), good.argmax(axis=1), len(self._sizes) - 1)
        # What is enough lies between this size and the one below it.
        step = (self._sizes[-1] / self._sizes[0]) ** (0.5 / (len(self._sizes) - 1))
        found: Values = self._sizes[chosen] / step
        return found

    def fit(self, table: Table) -> None:
        super().fit(table)
        # Measured on rows that were learned: a second training would take as long as the first.
        error = np.log(table.values) - np.log(self.predict_all(table))
        self.sigma_log = max(_SIGMA_MIN, float(np.quantile(np.abs(error), 0.6827)))

    def _errors_held_out(self, rows: Values, values: Values, groups: Any, generator: Any) -> None:
        return None

    def _scaled(self, rows: Values) -> Values:
        return np.clip((rows - self._mean) / self._scale, -10, 10)

    def _state(self) -> Mapping[str, Any]:
        return {
            "mean": packed(self._mean),
            "scale": packed(self._scale),
            "sizes": packed(self._sizes),
            "networks": [network.save() for network in self._networks],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._mean, self._scale = unpacked(state["mean"]), unpacked(state["scale"])
        self._sizes = unpacked(state["sizes"])
        self._networks = [QNetwork.load(network) for network in state["networks"]]


class DqnPerWorker(Dqn):
    """An agent for each size, which takes a task or does not."""

    kind = "dqn_per_worker"
    sizes_most = SIZES_PER_AGENT

    def _agents(self, states: Values, rewards: Values) -> list[QNetwork]:
        found = []
        for number in range(rewards.shape[1]):
            # Action 0 takes it, action 1 does not: right is right either way.
            both = np.stack([rewards[:, number], -rewards[:, number]], axis=1)
            found.append(trained(states, both, self.seed + number))
        return found

    def _worth(self, states: Values) -> Values:
        said = [network.worth(states) for network in self._networks]
        return np.stack([worth[:, 0] - worth[:, 1] for worth in said], axis=1)
