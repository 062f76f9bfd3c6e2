import numpy as np
import pytest

from surgecast.control.messages import RungSignature, Signature
from traffic_manager.placement.costs import worker_model
from traffic_manager.placement.costs.model import Cost, Load, Machine, shared_fairly
from traffic_manager.placement.costs.worker_model import WorkerModel

RUNG = RungSignature(rung="360p", width=640, height=360, frame_rate=30.0, video_bps=8e5)
SIGNATURE = Signature(width=1280, height=720, frame_rate=30.0, rungs=[RUNG])


def loads(*cores: float, sigma_log: float = 0.05) -> list[Load]:
    return [Load(f"c{at}", SIGNATURE, Cost(each, sigma_log, "")) for at, each in enumerate(cores)]


def taught(kind: str) -> WorkerModel:
    """Machines that lose a tenth of their cores to something nobody told of."""
    model, generator = WorkerModel(kind, seed=1), np.random.default_rng(4)
    for _ in range(150):
        machine = Machine("w", float(generator.choice([1.0, 2.0, 4.0])))
        share = generator.uniform(0.1, 1.4)
        parts = generator.dirichlet(np.ones(generator.integers(1, 5))) * share * machine.cores
        speed = min(1.0, 0.9 / share) * generator.normal(1, 0.005)
        model.learn(machine, loads(*parts), speed, min(share * 1.1, 1.0) * machine.cores)
    return model


def asked(model: WorkerModel, *cores: float, confidence: float = 0.9):
    return model.outlook(Machine("w", 2.0), loads(*cores), confidence)


def test_without_experience_the_cores_are_divided():
    model, here = WorkerModel("forest"), Machine("w", 2.0)
    assert asked(model, 0.5, 0.6) == shared_fairly(here, loads(0.5, 0.6), 0.9)
    assert asked(model) == shared_fairly(here, [], 0.9)


@pytest.mark.parametrize("kind", ["load_curve", "forest", "boosting"])
def test_what_samples_showed_is_believed(kind):
    model = taught(kind)
    assert model.samples_unfitted == 150
    model.refit()
    assert model.samples_unfitted == 0
    full = asked(model, 1.0, 0.9)
    assert full.known == f"samples of workers ({kind})"
    assert 0.85 < full.speed < 0.97  # dividing 2 cores fairly says 1.0
    assert asked(model, 0.5, 0.3).speed > 0.93


def test_a_half_full_worker_is_known_to_keep_speed_however_others_fared() -> None:
    """Readings beyond the knee are apart by much, and say nothing of what is far below it."""
    model = taught("load_curve")
    model.refit()
    assert asked(model, 0.5, 0.3).speed > 0.98 > asked(model, 1.0, 0.95).speed


def test_a_task_that_is_less_known_counts_with_what_it_may_take() -> None:
    """Samples are of tasks that were known; they do not tell how far off this one may be."""
    model, machine = taught("load_curve"), Machine("w", 2.0)
    model.refit()
    known = model.outlook(machine, loads(0.6, 0.6), 0.9)
    unknown = model.outlook(machine, loads(0.6, 0.6, sigma_log=0.5), 0.9)
    assert unknown.speed < 0.95 < known.speed and unknown.cpu_cores > known.cpu_cores


def test_more_than_the_cores_is_never_believed_to_keep_speed():
    model = WorkerModel("mean_per_rendition")
    for share in np.linspace(0.2, 2.0, 60):
        model.learn(Machine("w", 2.0), loads(share), 1.0, share)
    model.refit()
    assert asked(model, 2.0, 1.9).speed <= 2.0 / 3.9 + 1e-9


def test_what_was_never_seen_is_left_to_division():
    model = taught("forest")
    model.refit()
    assert asked(model, *[0.3] * 12) == shared_fairly(Machine("w", 2.0), loads(*[0.3] * 12), 0.9)


@pytest.mark.parametrize(("kinds", "expected"), [({"forest"}, (0.5, 1.0)), (set(), (1.0, 1.0))])
def test_kinds_that_read_the_past_are_told_it_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, kinds: set[str], expected: tuple[float, float]
) -> None:
    """Untold, it is too unsure of such readings to be asked, and cores are divided."""
    monkeypatch.setattr(worker_model, "READ_PAST", kinds)
    past = {"w": 0.9, "idle": 0.1}
    model = WorkerModel("forest", 1, lambda worker: {"past_0_load": past[worker]})
    for turn in range(60):
        before = 0.1 if turn % 2 else 0.9
        speed = 1.0 if turn % 2 else 0.5
        model.learn(Machine("x", 2.0), loads(0.5), speed, 1.0, {"past_0_load": before})
    model.refit()
    task = loads(0.5, sigma_log=0.0)
    found = [model.outlook(Machine(name, 2.0), task, 0.5).speed for name in past]
    assert found == pytest.approx(expected, abs=0.06)


def test_a_speed_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        WorkerModel("forest").learn(Machine("w", 2.0), loads(1.0), 0.0, 1.0)
