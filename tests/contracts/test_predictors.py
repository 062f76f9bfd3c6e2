"""What every predictor promises, whatever it is made of."""

import copy
import json
import math
from functools import cache
from hashlib import sha256
from importlib.util import find_spec

import numpy as np
import pytest

from traffic_manager.placement.costs.predictors import q_network, saving
from traffic_manager.placement.costs.predictors.base import (
    KEPT_MAX,
    RECENT_MAX,
    Predictor,
    Table,
)
from traffic_manager.placement.costs.predictors.kinds import KINDS, load_predictor, make_predictor

NEEDS = {
    "lightgbm": "lightgbm",
    "lstm": "torch",
    "dqn": "stable_baselines3",
    "dqn_per_worker": "stable_baselines3",
}
every = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                kind in NEEDS and find_spec(NEEDS[kind]) is None,
                reason=f"{NEEDS.get(kind)} is not installed (extra)",
            ),
        )
        for kind in KINDS
    ],
)


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """What agents promise does not need the minutes of a whole training."""
    monkeypatch.setattr(q_network, "STEPS", 400)


NAMES = ("pixels_log2", "frame_rate", "subme", "motion")
PROBE = {"pixels_log2": 19.0, "frame_rate": 30.0, "subme": 4.0, "motion": 0.4}


def encodes(seed: int = 1, rows: int = 160) -> Table:
    """Encodes of a made machine: cost by pixels, frames, effort and motion, and some noise."""
    generator = np.random.default_rng(seed)
    pixels = generator.choice([15.2, 17.8, 19.8, 21.0], rows)
    frames = generator.choice([25.0, 30.0, 50.0], rows)
    effort = generator.choice([1.0, 2.0, 4.0, 7.0], rows)
    motion = generator.uniform(0.1, 0.9, rows)
    cores = np.exp2(pixels - 20) * frames / 30 * (1 + effort) * (0.5 + motion) * 0.1
    matrix = np.stack([pixels, frames, effort, motion], axis=1)
    return Table(NAMES, matrix, cores * generator.lognormal(0, 0.03, rows))


def taught(kind: str, table: Table | None = None) -> Predictor:
    if table is None:
        return copy.deepcopy(_taught_by_default(kind))
    predictor = make_predictor(kind, 3)
    predictor.fit(table)
    return predictor


@cache
def _taught_by_default(kind: str) -> Predictor:
    return taught(kind, encodes())


@every
def test_what_is_predicted_is_positive_and_near(kind):
    predictor = taught(kind)
    fresh = encodes(seed=2, rows=80)
    found = predictor.predict_all(fresh)
    assert (found > 0).all() and np.isfinite(found).all()
    # Raw kinds are beaten by any scale: they need only be of the right order there.
    error = np.median(np.abs(np.log(found / fresh.values)))
    assert error < (2.5 if kind in ("svr_seed", "sgd_raw", "dqn", "dqn_per_worker") else 0.6)


@every
def test_one_row_is_answered_as_among_many(kind):
    predictor, fresh = taught(kind), encodes(seed=2, rows=20)
    many = predictor.predict_all(fresh)
    for row, value in zip(fresh.rows, many, strict=True):
        one = predictor.predict(dict(zip(NAMES, row, strict=True)))
        assert one.value == pytest.approx(value, rel=1e-9)
        assert 0 < one.sigma_log < 10


@every
def test_nothing_that_is_handed_in_is_changed(kind):
    table, features = encodes(), dict(PROBE)
    before = (table.rows.copy(), table.values.copy())
    predictor = taught(kind, table)
    predictor.learn(features, 0.3)
    predictor.predict(features)
    predictor.refit()
    predictor.predict_all(table)
    assert np.array_equal(table.rows, before[0]) and np.array_equal(table.values, before[1])
    assert features == PROBE


@every
def test_predicting_changes_nothing(kind):
    predictor = taught(kind)
    before = predictor.save()
    predictor.predict(PROBE)
    predictor.predict({"unheard_of": 1.0})
    predictor.predict_all(encodes(seed=9))
    assert predictor.save() == before


@every
def test_the_order_of_features_is_of_no_matter(kind):
    table = encodes()
    turned = Table(tuple(reversed(NAMES)), table.rows[:, ::-1].copy(), table.values)
    found = taught(kind, turned).predict(dict(reversed(PROBE.items())))
    assert found == taught(kind, table).predict(PROBE)


@every
def test_the_same_seed_gives_the_same_answers(kind):
    assert taught(kind, encodes()).save() == taught(kind).save()


@every
def test_what_was_saved_and_loaded_answers_and_goes_on_the_same(kind):
    predictor = taught(kind)
    predictor.learn(PROBE, 0.25)
    other = load_predictor(predictor.save())
    fresh = encodes(seed=4, rows=30)
    assert np.array_equal(other.predict_all(fresh), predictor.predict_all(fresh))
    assert other.predict(PROBE) == predictor.predict(PROBE)
    assert other.save() == predictor.save()
    for each in (other, predictor):
        each.refit()
    assert other.predict(PROBE) == predictor.predict(PROBE)


@every
def test_a_predictor_that_learned_nothing_can_be_saved_and_says_so(kind):
    fresh = load_predictor(make_predictor(kind, 1).save())
    with pytest.raises(ValueError, match="learned nothing yet"):
        fresh.predict(PROBE)


@every
def test_missing_and_new_features_are_survived(kind):
    predictor = taught(kind)
    known = predictor.predict(PROBE)
    assert predictor.predict({**PROBE, "unheard_of": 7.0}) == known
    for gone in NAMES:
        rest = {name: value for name, value in PROBE.items() if name != gone}
        assert predictor.predict(rest).value > 0
        assert predictor.predict({**rest, gone: math.nan}) == predictor.predict(rest)
    assert predictor.predict({}).value > 0


@every
def test_a_column_with_gaps_or_without_any_value_is_learned_from(kind):
    table = encodes()
    rows = np.column_stack([table.rows, np.full(len(table), math.nan)])
    rows[::7, 3] = math.nan
    predictor = taught(kind, Table((*NAMES, "empty"), rows, table.values))
    assert predictor.names == tuple(sorted(NAMES))
    assert predictor.predict({**PROBE, "empty": 5.0}).value > 0


@every
def test_outside_of_what_was_learned_it_is_less_certain_and_says_so(kind):
    predictor = taught(kind)
    within, over = predictor.predict(PROBE), predictor.predict({**PROBE, "pixels_log2": 23.0})
    assert within.outside == "" and "pixels_log2 23 outside" in over.outside
    further = predictor.predict({**PROBE, "pixels_log2": 30.0})
    assert within.sigma_log < over.sigma_log < further.sigma_log
    assert math.isfinite(predictor.predict({**PROBE, "frame_rate": 1e300}).sigma_log)
    assert predictor.predict({**PROBE, "frame_rate": math.inf}).value > 0


@every
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_that_cannot_be_is_refused_in_words_and_nothing_changes(kind, value):
    predictor = taught(kind)
    before = predictor.save()
    with pytest.raises(ValueError, match=r"allowed: a finite number above 0"):
        predictor.learn(PROBE, value)
    table = encodes()
    values = table.values.copy()
    values[17] = value
    with pytest.raises(ValueError, match=r"in row 17; allowed: finite numbers above 0"):
        predictor.fit(Table(NAMES, table.rows, values))
    assert predictor.save() == before


@every
def test_a_refit_learns_from_what_came_and_keeps_what_was(kind):
    predictor = taught(kind)
    far = {**PROBE, "pixels_log2": 22.5}
    for _ in range(60):
        predictor.learn(far, 40.0)
    assert predictor.refit_wanted == 60
    predictor.refit()
    assert predictor.refit_wanted == 0
    assert predictor.predict(far).outside == ""
    if kind in ("svr_seed", "sgd_raw", "sgd", "svr", "dqn", "dqn_per_worker"):
        return
    assert predictor.predict(far).value == pytest.approx(40.0, rel=0.3)
    table = encodes()
    assert np.median(np.abs(np.log(predictor.predict_all(table) / table.values))) < 0.6


@every
def test_uncertainty_follows_errors_on_what_was_not_learned_yet(kind):
    predictor, table = taught(kind), encodes(seed=8, rows=80)
    generator = np.random.default_rng(8)
    for row, value in zip(table.rows, table.values, strict=True):
        wild = float(value * generator.lognormal(0, 2.5))
        predictor.learn(dict(zip(NAMES, row, strict=True)), wild)
    before = predictor.sigma_log
    predictor.refit()
    assert predictor.sigma_log > max(1.5, before)


@every
def test_probes_of_a_group_move_all_of_its_rows_and_none_moves_nothing(kind):
    predictor, table = taught(kind), encodes(seed=6, rows=12)
    none = np.empty(0, dtype=np.int64)
    assert not predictor.adjustment(table, none, np.empty(0)).any()
    twice = predictor.adjustment(table, np.arange(6), np.full(6, math.log(2)))
    assert twice.shape == (12,) and (twice > 0).all() and (twice < math.log(2) * 1.01).all()
    assert np.isfinite(predictor.adjustment(table, np.arange(1), np.array([300.0]))).all()


def test_what_is_kept_for_a_refit_is_bounded():
    predictor = taught("mean_per_rendition", encodes(rows=KEPT_MAX + 500))
    for number in range(RECENT_MAX + 50):
        predictor.learn({"pixels_log2": number * 1e-3}, 1.0)
    state = saving.read("mean_per_rendition", predictor.save())
    assert len(state["recent"]) == RECENT_MAX
    assert state["kept"][1]["shape"] == [KEPT_MAX]


@every
def test_few_rows_are_enough(kind):
    for rows in (1, 2, 5):
        predictor = taught(kind, encodes(rows=rows))
        assert predictor.predict(PROBE).value > 0


@every
def test_a_file_that_is_not_ours_is_refused_in_words(kind):
    content = taught(kind).save()
    digest, _, body = content.partition(b"\n")
    foreign = json.loads(body)
    foreign["state"]["model"] = {"__class__": "os.system"}
    text = json.dumps(foreign).encode()
    signed = sha256(text).hexdigest().encode() + b"\n" + text
    for wrong in (b"", b"\x80\x04cos\nsystem\n.", content[:-1], digest, signed):
        with pytest.raises(ValueError, match="not a saved predictor"):
            load_predictor(wrong)


def test_a_kind_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="svr_seed, svr"):
        make_predictor("oracle")


def test_one_prediction_starts_no_pool(monkeypatch):
    import joblib

    predictors = [taught(kind) for kind in ("forest", "boosting", "svr")]
    monkeypatch.setattr(joblib, "Parallel", None)
    for predictor in predictors:
        assert predictor.predict(PROBE).value > 0
