"""Learning in a running manager: what is kept, what is fitted outside, and what may fail."""

import dataclasses
import json

import pytest

from surgecast.clock import ManualClock
from surgecast.errors import LocalError, RemoteError
from tests.support.transcodes import PRIOR, Machines, signature_of
from tests.unit.traffic_manager.placement.costs.test_samples import report, task
from traffic_manager.forecasting.fits import Fitted
from traffic_manager.manager import Manager
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.placement.costs import learning as learning_module
from traffic_manager.placement.costs.learner import Learner
from traffic_manager.placement.costs.learning import Learning
from traffic_manager.placement.costs.model_store import ModelStore
from traffic_manager.placement.costs.samples import Sampler
from traffic_manager.record.records import SampleRecord


class Records:
    """A recorder that holds what it is given."""

    def __init__(self, rows=(), away: bool = False) -> None:
        self.rows, self.away = list(rows), away

    def put(self, record: SampleRecord) -> None:
        self.rows.append(record)

    def read(self, question):
        if self.away:
            raise LocalError("the history cannot be used: no route")
        return self.rows


class Here:
    """Learning with a made clock; what it tells is kept."""

    def __init__(self, folder, recorder=None, kind=None) -> None:
        self.clock, self.told = ManualClock(), []
        self.learner = Learner(PRIOR, worker_kind=kind)
        self.learning = Learning(
            self.learner,
            Sampler(),
            self.clock,
            store=ModelStore(folder),
            told=self.told.append,
        )
        self.recorder = recorder

    def run_tasks(self, times: int = 1) -> None:
        for _ in range(times):
            self.learning.report(report(40.0, task(signature=signature_of())))
            self.learning.report(report(0.0))


async def test_a_sample_is_learned_and_put_on_record(tmp_path):
    recorder = Records()
    here = Here(tmp_path, recorder)
    await here.learning.start(recorder)
    here.run_tasks()
    assert here.learner.learned == 1
    (record,) = recorder.rows
    assert (record.worker, record.tasks[0]["channel"]) == ("w1", "news")


async def test_what_was_kept_is_gone_on_with(tmp_path):
    here = Here(tmp_path)
    here.run_tasks(3)
    await here.learning.keep()
    await here.learning.keep()
    assert len(list(tmp_path.iterdir())) == 1, "a version a time something was learned"
    again = Here(tmp_path)
    await again.learning.start()
    assert again.learner.save() == here.learner.save()
    assert again.learner.versions == [here.learner.save()]


async def test_a_spoilt_version_is_told_and_the_one_before_is_used(tmp_path):
    here = Here(tmp_path)
    here.run_tasks()
    await here.learning.keep()
    good = here.learner.save()
    here.run_tasks()
    await here.learning.keep()
    path = tmp_path / "placement-000002.model"
    path.write_bytes(path.read_bytes()[:-10])
    again = Here(tmp_path)
    await again.learning.start()
    assert again.learner.save() == good
    (text,) = again.told
    assert "cut short" in text


async def test_gone_back_to_a_version_it_is_the_newest_and_stays_so(tmp_path):
    """A restart hears of no sample again that the operator wanted forgotten."""
    here, spoilt = Here(tmp_path), Machines(workers={"w1": 20.0})
    here.run_tasks()
    await here.learning.keep()
    good = here.learner.save()
    for _ in range(5):
        here.clock.advance(60.0)
        sample = spoilt.sample("w1", "news")
        here.learning._learn(dataclasses.replace(sample, at_utc=here.clock.utc()))
    await here.learning.keep()
    assert here.learner.save() != good
    here.clock.advance(5.0)
    await here.learning.roll_back(1)
    assert json.loads(here.learner.save())["costs"] == json.loads(good)["costs"]
    assert [each.version for each in here.learning.versions] == [3, 2, 1]
    assert here.learning.versions[0].facts["of_version"] == 1
    assert "version 1 again" in here.told[-1]
    again = Here(tmp_path)
    await again.learning.start(Records([sample.row() for sample in here.learner.history]))
    assert again.learner.learned == 6
    assert json.loads(again.learner.save())["costs"] == json.loads(good)["costs"]


async def test_a_version_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    here = Here(tmp_path)
    with pytest.raises(RemoteError, match="no version 7 of costs; allowed: none yet"):
        await here.learning.roll_back(7)
    here.run_tasks()
    await here.learning.keep()
    before = here.learner.save()
    with pytest.raises(RemoteError, match="allowed: 1"):
        await here.learning.roll_back(2)
    assert here.learner.save() == before


async def test_without_a_version_samples_on_record_are_learned_from(tmp_path):
    machines = Machines()
    rows = [machines.sample("small", "news").row() for _ in range(5)]
    here = Here(tmp_path, Records([*rows[:4], rows[4] | {"speed_min": -1.0}]))
    await here.learning.start(here.recorder)
    assert here.learner.learned == 4


async def test_a_database_that_is_away_is_told_and_nothing_waits(tmp_path):
    here = Here(tmp_path, Records(away=True))
    await here.learning.start(here.recorder)
    assert "not read" in here.told[0]
    here.run_tasks()
    assert here.learner.learned == 1


async def test_a_fit_is_done_outside_and_one_that_fails_is_tried_again_later(tmp_path, monkeypatch):
    here, asked = Here(tmp_path, kind="mean_per_rendition"), []

    async def fails(job, **_) -> Fitted:
        asked.append(job)
        raise LocalError("its process ended with 1: no memory")

    async def fits(job, **_) -> Fitted:
        return job.run()

    assert not await here.learning.look(), "nothing was learned yet"
    here.run_tasks()
    monkeypatch.setattr(learning_module, "run_outside", fails)
    assert await here.learning.look()
    assert "no memory" in here.told[-1]
    assert not await here.learning.look(), "not at once"
    monkeypatch.setattr(learning_module, "run_outside", fits)
    here.clock.advance(61.0)
    assert await here.learning.look()
    assert (here.learning.fits, here.learning.fits_failed) == (1, 1)
    assert not await here.learning.look()


async def test_drift_is_told(tmp_path):
    here, machines = Here(tmp_path), Machines()
    for _ in range(30):
        here.learning._learn(machines.sample("small", "news"))
    machines.workers["small"] = 4.0
    for _ in range(10):
        here.learning._learn(machines.sample("small", "news"))
    (text,) = here.told
    assert "off by" in text


@pytest.mark.parametrize("kind", ["mean_per_rendition"])
async def test_a_fit_comes_back_from_its_process(tmp_path, kind):
    here = Here(tmp_path, kind=kind)
    here.run_tasks(2)
    assert await here.learning.look()
    assert (here.learning.fits, here.told) == (1, [])


def test_a_manager_passes_on_what_believed_workers_report():
    heard = []
    manager = Manager(
        ManagerSettings(placement={"adoption_s": 3.0, "lost_after_s": 3.0}),
        boot="m1",
        name=lambda region: f"{region}-1",
        now_s=0.0,
        learn=lambda report, expected: heard.append((report.worker, report.boot, dict(expected))),
    )
    manager.worker_report(report(0.0), 10.0, 1010.0)
    # Another one with its name, while it is there: not to be learned from.
    manager.worker_report(report(0.0, boot="b2"), 10.5, 1010.5)
    assert heard == [("w1", "b1", {})]
