"""A deep Q network as the paper trains it; extra `rl` (gymnasium, stable-baselines3). Pure.

Three layers of 32 units, 4,000 steps, a constant reward: +1 for an action that met the target in a
sample drawn at random, -1 for one that did not (Pääkkönen et al. 2019, "Online architecture for
predicting live video transcoding resources", table 4). Each step is an episode of its own. Only the
training needs the libraries: what the network says is three small products in numpy.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from surgecast.errors import LocalError
from traffic_manager.forecasting.packing import packed, unpacked
from traffic_manager.placement.costs.predictors.base import Values

LAYERS = (32, 32, 32)
STEPS = 4000


class QNetwork:
    """What each action is worth in a state: about +1 where it meets the target, -1 where not."""

    def __init__(self, layers: list[tuple[Values, Values]]) -> None:
        """Weights and biases. Raises ValueError for those that do not fit together."""
        sizes = [len(bias) for _, bias in layers]
        for number, (weights, bias) in enumerate(layers):
            inputs = weights.shape[1] if number == 0 else sizes[number - 1]
            if weights.shape != (len(bias), inputs):
                raise ValueError(f"layer {number} of {weights.shape} after {inputs} units")
            if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
                raise ValueError(f"layer {number} has weights that are no numbers")
        self._layers = layers

    def worth(self, states: Values) -> Values:
        """Shape (states, inputs) -> (states, actions)."""
        found = states
        for number, (weights, bias) in enumerate(self._layers):
            found = found @ weights.T + bias
            if number < len(self._layers) - 1:
                found = np.maximum(found, 0.0)
        return found

    def save(self) -> list[list[Mapping[str, Any]]]:
        """JSON."""
        return [[packed(weights), packed(bias)] for weights, bias in self._layers]

    @classmethod
    def load(cls, state: list[list[Mapping[str, Any]]]) -> "QNetwork":
        """What `save` gave. Raises ValueError for anything else."""
        return cls([(unpacked(weights), unpacked(bias)) for weights, bias in state])


def trained(states: Values, rewards: Values, seed: int) -> QNetwork:
    """A network that went through samples. `rewards`: shape (states, actions), +1 or -1.

    Raises LocalError where the extra is not installed.
    """
    gym, library, torch = _libraries()
    torch.set_num_threads(1)
    steps = STEPS
    agent = library.DQN(
        "MlpPolicy",
        _environment(gym, states.astype(np.float32), rewards, seed),
        policy_kwargs={"net_arch": list(LAYERS)},
        learning_rate=2e-3,
        buffer_size=steps,
        learning_starts=min(100, steps),
        batch_size=64,
        train_freq=1,
        target_update_interval=100,
        gamma=0.0,  # a step is an episode: what comes after it is another one's
        exploration_fraction=1.0,
        exploration_final_eps=0.3,
        seed=seed,
        device="cpu",
    )
    agent.learn(steps)
    linear = [layer for layer in agent.q_net.q_net if hasattr(layer, "weight")]
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in linear]
    return QNetwork(
        [
            (weights.numpy().astype(np.float64), bias.numpy().astype(np.float64))
            for weights, bias in layers
        ]
    )


def _environment(gym: Any, states: Values, rewards: Values, seed: int) -> Any:
    """Gym's view of some samples: a state, an action, a reward, and the next sample."""
    generator = np.random.default_rng(seed)

    class Samples(gym.Env):  # type: ignore[misc]
        observation_space = gym.spaces.Box(-np.inf, np.inf, (states.shape[1],), np.float32)
        action_space = gym.spaces.Discrete(rewards.shape[1])
        place = 0

        def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
            super().reset(**given)
            self.place = int(generator.integers(len(states)))
            return states[self.place], {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            reward = float(rewards[self.place, int(action)])
            return states[self.place], reward, True, False, {}

    return Samples()


def _libraries() -> tuple[Any, Any, Any]:
    """Imported here: only a training pays for them."""
    try:
        names = ("gymnasium", "stable_baselines3", "torch")
        gym, library, torch = (import_module(name) for name in names)
    except ImportError as error:
        raise LocalError(
            "there is no reinforcement learning: pip install 'surgecast[rl]'"
        ) from error
    return gym, library, torch
