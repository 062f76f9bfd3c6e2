"""Agents that rank workers by what runs on them."""

from importlib.util import find_spec

import numpy as np
import pytest

from tests.support.transcodes import Machines
from traffic_manager.placement.costs.predictors.q_network import QNetwork
from traffic_manager.placement.costs.ranking import Ranker, rendition_of, taught

needs_library = pytest.mark.skipif(
    find_spec("stable_baselines3") is None, reason="stable_baselines3 is not installed (extra)"
)


def samples(count: int = 300):
    """The small worker keeps speed with one task, the large one with three."""
    machines = Machines(workers={"small": 1.0, "large": 1.0})
    names = list(machines.channels)
    machines.channels = dict.fromkeys(names, 1.0)
    need = machines.cost_cores("news", "small", machines.sample("small", "news").tasks[0].signature)
    sizes = {"small": 1.2 * need, "large": 3.5 * need}
    generator = np.random.default_rng(1)
    found = []
    for _ in range(count):
        worker = ("small", "large")[int(generator.integers(2))]
        chosen = names[: int(generator.integers(1, 4))]
        found.append(machines.sample(worker, *chosen, cores=sizes[worker]))
    return found


@needs_library
@pytest.mark.parametrize("per_worker", [False, True])
def test_a_worker_that_is_full_is_worth_less(per_worker):
    found = samples()
    rendition = rendition_of(found[0].tasks[0])
    ranker = taught(found, target_speed=0.98, per_worker=per_worker)
    both_empty = dict(ranker.rank({}, rendition))
    assert both_empty["large"] > 0
    full = dict(ranker.rank({"small": {rendition: 1}}, rendition))
    assert full["small"] < 0 < full["large"]
    assert ranker.rank({"small": {rendition: 1}}, rendition)[0][0] == "large"
    again = Ranker.load(ranker.save())
    assert again.rank({}, rendition) == ranker.rank({}, rendition)
    assert all(worth == -1 for _, worth in ranker.rank({}, "8K warp"))


def layers(inputs: int, outputs: int) -> QNetwork:
    return QNetwork(
        [(np.ones((4, inputs)), np.zeros(4)), (np.ones((outputs, 4)), np.zeros(outputs))]
    )


def test_networks_that_do_not_fit_are_refused():
    good = Ranker(("w1", "w2"), ("720p",), (layers(3, 2),))
    assert Ranker.load(good.save()).workers == ("w1", "w2")
    for networks in ((layers(4, 2),), (layers(3, 2),) * 3):
        with pytest.raises(ValueError, match=r"networks|matmul|unpack|shorter|mismatch"):
            Ranker.load(Ranker(("w1", "w2"), ("720p",), networks).save())
    for content in (b"", b"[]", b'{"format": 9}'):
        with pytest.raises((ValueError, KeyError, TypeError)):
            Ranker.load(content)


def test_without_samples_there_is_nothing_to_learn():
    with pytest.raises(ValueError, match="no samples"):
        taught([], target_speed=0.98)
