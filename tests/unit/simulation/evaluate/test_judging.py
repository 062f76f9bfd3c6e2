import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from rich.console import Console

from simulation.evaluate import plots, report
from simulation.evaluate.dataset import DataSet
from simulation.evaluate.judging import Question, judge
from traffic_manager.placement.costs.predictors.base import Table


def videos(count: int = 24, settings: int = 8, noise: float = 0.03) -> DataSet:
    """Cost as a factor of the video that no feature tells of, one of size, and one of setting."""
    generator = np.random.default_rng(5)
    size = generator.uniform(16, 21, count)
    hidden = generator.normal(0, 0.4, count)
    rows, values, groups = [], [], []
    for video in range(count):
        for setting in range(settings):
            rows.append([size[video], float(setting)])
            log = 0.7 * (size[video] - 20) + 0.3 * setting + hidden[video]
            values.append(np.exp(log + generator.normal(0, noise)))
            groups.append(video)
    table = Table(("pixels_log2", "subme"), np.asarray(rows), np.asarray(values))
    return DataSet("made", "cores", table, {"video": np.asarray(groups)}, ("made",))


KINDS = ("sgd", "profile")
QUESTION = Question(KINDS, "video", (0, 1, 4), folds=4)


@pytest.fixture(scope="module")
def outcome():
    return judge(videos(), QUESTION)


def test_probes_tell_what_features_do_not(outcome):
    for verdict in outcome.verdicts:
        cold, one, four = (after.mape_percent for after in verdict.errors)
        assert cold > 20, verdict.kind  # the hidden factor alone is worth 0.4
        assert four <= one * 1.05 and one < cold / 2, verdict.kind
    best = next(verdict for verdict in outcome.verdicts if verdict.kind == "profile")
    assert best.errors[-1].mape_percent < 6


def test_rows_at_random_flatter_as_the_video_is_known():
    question = replace(QUESTION, kinds=("boosting",), probes=(0,), folds_run=1)
    by_video, leaking = (judge(videos(), replace(question, way=w)) for w in ("video", "random"))
    assert leaking.verdicts[0].errors[0].mape_percent < by_video.verdicts[0].errors[0].mape_percent


def test_rows_of_a_group_that_is_judged_are_never_learned_from():
    """A video apart from all others cannot be known without a probe."""
    data = videos(noise=0.0)
    values = data.table.values.copy()
    values[data.groups["video"] == 3] *= 50
    table = Table(data.table.names, data.table.rows, values)
    question = replace(QUESTION, kinds=("mean_per_rendition",), folds=0, probes=(0,))
    found = judge(replace(data, table=table), question)
    assert found.folds == 24
    assert found.verdicts[0].errors[0].mape_percent > 40


def test_the_same_seed_finds_the_same(outcome):
    again = judge(videos(), QUESTION)
    assert [each.errors for each in again.verdicts] == [each.errors for each in outcome.verdicts]


def test_to_learn_from_fewer_rows_takes_whole_groups():
    found = judge(videos(), replace(QUESTION, kinds=("profile",), rows_max=64, folds_run=1))
    assert (found.folds, len(found.verdicts)) == (1, 1)
    tiny = judge(videos(), replace(QUESTION, kinds=("sgd",), rows_max=3, folds_run=1))
    assert tiny.verdicts[0].errors[0].mape_percent > 0


def test_a_way_of_folding_that_a_set_has_not_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match="made allows: video, random"):
        judge(videos(), replace(QUESTION, way="machine"))


def test_the_report_says_the_kinds_best_first_and_the_way(outcome):
    console = Console(record=True, width=100)
    console.print(report.as_text(outcome))
    text = console.export_text()
    assert text.index("profile") < text.index("sgd")
    assert "4 folds by video" in text
    assert all(f"{verdict.errors[2].mape_percent:.2f}" in text for verdict in outcome.verdicts)


def test_the_report_is_json_and_has_every_figure(outcome):
    found = json.loads(json.dumps(report.as_dict(outcome), allow_nan=False))
    assert [each["kind"] for each in found["verdicts"]] == list(KINDS)
    assert found["verdicts"][0]["errors"][1]["probes"] == 1


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="no matplotlib (extra `plots`)")
def test_pictures_are_drawn(outcome, tmp_path):
    plots.write(tmp_path / "new", outcome)
    for name in ("errors", "times"):
        assert (tmp_path / "new" / f"made-video-{name}.png").read_bytes().startswith(b"\x89PNG")
