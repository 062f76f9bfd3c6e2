"""Traces for tests of the backtest."""

import numpy as np

from simulation.backtest.trace import Trace

MINUTE_S = 60.0


def trace_of(values, step_s: float = MINUTE_S) -> Trace:
    """A trace without gaps."""
    values = np.asarray(values, dtype=np.float64)
    at_s = np.arange(len(values)) * step_s
    return Trace("made", step_s, at_s, values, np.zeros(len(values), dtype=np.int64))


def crowd(steps: int = 400, seed: int = 1) -> np.ndarray:
    """Quiet, then a flash crowd that stays a while, with noise."""
    generator = np.random.default_rng(seed)
    times = np.arange(steps)
    level = 4_000 + 30_000 / (1 + np.exp(-(times - steps / 2) / 6))
    return level * generator.normal(1, 0.02, steps)
