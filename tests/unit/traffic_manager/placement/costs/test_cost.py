import json
import math

import pytest

from surgecast.control.messages import RungSignature, Signature
from traffic_manager.placement.costs.cost import CostModel
from traffic_manager.placement.costs.model import Cost, Machine
from traffic_manager.placement.costs.samples import Sample, TaskSample

RUNGS = [
    RungSignature(rung="720p", width=1280, height=720, frame_rate=30.0, video_bps=2.5e6),
    RungSignature(rung="360p", width=640, height=360, frame_rate=30.0, video_bps=8e5),
]
SIGNATURE = Signature(width=1280, height=720, frame_rate=30.0, rungs=RUNGS)
HERE, THERE = Machine("here", 4.0), Machine("there", 4.0)
PRIOR = CostModel().cost("any", SIGNATURE, HERE)


def sample(worker: str, speed: float = 1.0, **cores: float) -> Sample:
    tasks = tuple(TaskSample(channel, used, speed, SIGNATURE) for channel, used in cores.items())
    return Sample(0.0, worker, 4.0, "", tasks, speed, sum(cores.values()))


def factor(found: Cost) -> float:
    return found.cores / PRIOR.cores


def test_without_experience_the_prior_speaks_and_says_so():
    assert "prior alone" in PRIOR.known
    assert PRIOR.sigma_log > 0.5


def test_what_a_channel_takes_on_a_worker_is_soon_what_is_expected_of_it_there():
    model = CostModel()
    found = []
    for _ in range(5):
        assert model.learn(sample("here", news=PRIOR.cores * 2)) == 1
        found.append(model.cost("news", SIGNATURE, HERE))
    assert factor(found[0]) == pytest.approx(2, rel=0.05)
    assert factor(found[-1]) == pytest.approx(2, rel=0.01)
    assert [cost.sigma_log for cost in found] == sorted((c.sigma_log for c in found), reverse=True)
    assert "measured here 5 times" in found[-1].known


def test_a_starved_task_is_known_by_what_it_would_need():
    model = CostModel()
    model.learn(sample("here", speed=0.5, news=PRIOR.cores))
    assert factor(model.cost("news", SIGNATURE, HERE)) == pytest.approx(2, rel=0.05)


def test_a_hard_channel_is_known_as_hard_on_another_worker_and_a_slow_worker_as_slow():
    model = CostModel()
    for _ in range(4):
        model.learn(sample("here", news=PRIOR.cores, sport=PRIOR.cores * 2))
        model.learn(sample("there", news=PRIOR.cores * 1.3))
    sport = model.cost("sport", SIGNATURE, THERE)
    assert factor(sport) == pytest.approx(2.6, rel=0.15)
    assert "channel measured 4 times, worker 4" in sport.known
    fresh = model.cost("fresh", SIGNATURE, THERE)
    assert factor(fresh) > factor(model.cost("fresh", SIGNATURE, HERE))
    assert sport.sigma_log < fresh.sigma_log <= PRIOR.sigma_log


def test_one_channel_on_one_worker_is_mostly_the_channel_as_channels_differ_more():
    model = CostModel()
    model.learn(sample("here", news=PRIOR.cores * 2))
    found = model.factors()
    assert 1 < found["workers"]["here"] < found["channels"]["news"] < 2


def test_another_form_of_a_channel_is_less_certain_than_the_one_that_ran():
    model = CostModel()
    model.learn(sample("here", news=PRIOR.cores))
    faster = SIGNATURE.model_copy(update={"preset": "superfast"})
    known, other = (model.cost("news", each, HERE) for each in (SIGNATURE, faster))
    assert other.sigma_log > known.sigma_log
    assert other.cores < known.cores


@pytest.mark.parametrize("cores", [0.0, math.nan, math.inf, 1e9])
def test_a_reading_that_cannot_be_teaches_nothing(cores):
    model = CostModel()
    assert model.learn(sample("here", news=cores)) == 0
    assert model.cost("news", SIGNATURE, HERE) == PRIOR


def test_one_wild_reading_among_others_is_survived():
    model = CostModel()
    for of_prior in (1, 1, 8, 1, 1):
        model.learn(sample("here", news=PRIOR.cores * of_prior))
    assert factor(model.cost("news", SIGNATURE, HERE)) == pytest.approx(1, rel=0.05)


def test_what_was_saved_goes_on_the_same():
    model, copy = CostModel(), CostModel()
    model.learn(sample("here", news=PRIOR.cores * 2, sport=PRIOR.cores))
    copy.restore(json.loads(json.dumps(model.save())))
    assert copy.cost("news", SIGNATURE, THERE) == model.cost("news", SIGNATURE, THERE)
    assert copy.save() == model.save()
    broken = {**model.save(), "workers": {"here": [math.nan, 0.1, 1]}}
    foreign = {**model.save(), "channels": {"other": [0.0, 0.1, 1]}}
    for wrong in ({}, {"pairs": [["a", "b", [], [], 1, 1]]}, broken, foreign):
        with pytest.raises(ValueError):
            copy.restore(wrong)
    assert copy.save() == model.save()


def test_a_worker_that_is_another_machine_now_is_forgotten():
    model = CostModel()
    model.learn(sample("here", news=PRIOR.cores * 2))
    model.forget_worker("here")
    assert model.cost("news", SIGNATURE, HERE) == PRIOR


def test_memory_is_bounded_and_what_was_heard_of_longest_ago_goes(monkeypatch):
    monkeypatch.setattr("traffic_manager.placement.costs.cost.PAIRS_MAX", 5)
    model = CostModel()
    for number in range(8):
        model.learn(sample(f"w{number % 2}", **{f"c{number}": PRIOR.cores}))
    state = model.save()
    assert [pair[0] for pair in state["pairs"]] == ["c3", "c4", "c5", "c6", "c7"]
    assert set(state["channels"]) == {"c3", "c4", "c5", "c6", "c7"}
    for number in range(5):
        model.learn(sample("w0", **{f"d{number}": PRIOR.cores}))
    assert set(model.save()["workers"]) == {"w0"}
