"""The LSTM expert: forecasts without torch, fits with it, starts from the day before."""

import json
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

from surgecast.errors import LocalError
from traffic_manager.forecasting.learned import Window
from traffic_manager.forecasting.lstm import (
    LOOK_BACK,
    UNITS,
    Lstm,
    LstmModel,
    sequences,
    shapes,
)
from traffic_manager.forecasting.past import Past
from traffic_manager.forecasting.slots import Slots

STEP_S = 60.0
HORIZONS = (2, 5)


def weights(seed: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in shapes(len(HORIZONS)).items()
    }


def wave(step: int) -> float:
    """Up and down within forty steps: what it did last tells where it goes."""
    return 1000.0 + 400.0 * np.sin(2 * np.pi * step / 40)


def slots(count: int = 100) -> Slots:
    made = Slots(STEP_S, 500)
    for step in range(count):
        made.add(step * STEP_S, wave(step))
    return made


def taught(count: int) -> tuple[Lstm, Past]:
    window = Window(rows_min=400, rows_max=800, before=130)
    made, past = Lstm(step_s=STEP_S, horizons_s=(600.0,), window=window), Past(STEP_S)
    for step in range(count):
        past.add(step * STEP_S, wave(step))
        made.learn(past)
    return made, past


def test_what_is_read_is_relative_and_never_later_than_its_place():
    values, places = slots().values(), np.asarray([LOOK_BACK, 99])
    read = sequences(values, places, 1.0)
    assert read.shape == (2, LOOK_BACK, 2) and (read[:, -1, 0] == 0).all()
    assert np.allclose(sequences(values * 1000, places, 1.0), read, atol=1e-5)
    noisy = values.copy()
    noisy[LOOK_BACK + 1 :] = 1e9
    assert np.array_equal(sequences(noisy, places[:1], 1.0), read[:1])


def test_saved_and_loaded_it_expects_exactly_the_same():
    model = LstmModel(HORIZONS, STEP_S, 1.0, weights())
    again = LstmModel.load(json.loads(json.dumps(model.save())))
    assert np.array_equal(again.growth(slots()), model.growth(slots()))


@pytest.mark.parametrize("broken", [np.zeros((3, 3), np.float32), np.full((2, UNITS), np.nan)])
def test_weights_of_another_shape_or_none_at_all_are_refused(broken):
    with pytest.raises(ValueError, match="head is"):
        LstmModel(HORIZONS, STEP_S, 1.0, weights() | {"head": broken})


def test_without_torch_a_fit_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(LocalError, match=r"surgecast\[lstm\]"):
        taught(420)[0].wanted_fit().run()


def test_numpy_expects_what_torch_does():
    torch = pytest.importorskip("torch", reason="no torch (extra `lstm`)")
    from traffic_manager.forecasting import lstm

    model = LstmModel(HORIZONS, STEP_S, 1.0, weights())
    net, head = lstm._made(len(HORIZONS), model)
    read = torch.from_numpy(sequences(slots().values(), np.asarray([99]), 1.0))
    expected = head(net(read)[0][:, -1]).detach().numpy()[0]
    assert np.allclose(model.growth(slots()), expected, atol=1e-5)


def test_it_learns_how_a_wave_goes_on_and_the_next_fit_starts_from_there():
    pytest.importorskip("torch", reason="no torch (extra `lstm`)")
    made, past = taught(700)
    job = made.wanted_fit()
    assert job.start is None
    made.fitted(pickle.loads(pickle.dumps(job)).run())
    errors, floor = [], []
    for step in range(700, 760):
        past.add(step * STEP_S, wave(step))
        made.learn(past)
        errors.append(abs(made.expect(past)[0] - wave(step + 10)))
        floor.append(abs(wave(step) - wave(step + 10)))
    assert np.mean(errors) < 0.5 * np.mean(floor)
    again = replace(job, start=made._model.save()).run()
    assert again.state["model"] != made._model.save()
