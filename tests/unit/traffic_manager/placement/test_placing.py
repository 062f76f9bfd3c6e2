"""Channels on workers, in pure time: what happens -> who encodes what, and what is on record."""

import pytest

from surgecast.errors import RemoteError
from tests.support.placing_world import World
from traffic_manager.placement.placing import NotReady
from traffic_manager.placement.settings import PlacementSettings, QueueSettings

SETTINGS = PlacementSettings.model_validate(
    {
        "strategy": {"confidence": 0.5, "cpu_max": 1.0},
        "queue": {"waiting_max": 4, "wait_max_s": 30, "retry_s": 10},
        "adjust": {"undo_after_s": 10},
        "adoption_s": 3,
    }
)


def world(settings: PlacementSettings = SETTINGS) -> World:
    return World(settings)


def test_a_channel_is_placed_on_the_smallest_worker_and_reserved() -> None:
    w = world()
    w.add("small", 1.0)
    w.add("large", 4.0)
    w.want("news", 0.5)
    w.run(2)
    assert not w.running("news"), "nothing is placed while workers are still to report"
    w.run(5)
    assert w.running("news") == ["small"]
    assert w.placing.reservations.of_worker("small") == pytest.approx(0.5)
    [decision] = w.decisions("place")
    assert decision.server == "small" and decision.inputs["cores"] == 0.5
    assert [fit["worker"] for fit in decision.quantiles["considered"]] == ["small", "large"]
    known = w.logbook.decision(decision.id)
    assert known is not None and "runs after" in (known.outcome or "")


def test_what_is_not_wanted_any_more_ends() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.5)
    w.run(6)
    del w.wanted["news"]
    w.run(2)
    assert not w.running("news") and not len(w.placing.tasks) and not len(w.placing.reservations)


def test_a_channel_that_is_configured_anew_gets_another_lease() -> None:
    """Under one lease an origin knows sets by number, and another encoder begins at nothing."""
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.5)
    w.run(6)
    [before] = w.workers["a"].tasks.values()
    spec = {"source": {"kind": "black"}}
    w.wanted["news"] = w.wanted["news"].model_copy(update={"spec": spec})
    w.run(3)
    [after] = w.workers["a"].tasks.values()
    assert after.order.spec == spec and after.order.lease > before.order.lease
    assert w.placing.reservations.of_worker("a") == pytest.approx(0.5)
    assert [task.reason for task in w.placing.tasks.over] == ["its channel was configured anew"]


def test_a_task_that_was_adopted_is_told_one_configuration_too() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.5)
    w.run(6)
    w.restart()
    w.run(6)
    [kept] = w.workers["a"].tasks.values()
    w.wanted["news"] = w.wanted["news"].model_copy(update={"spec": {"source": {"kind": "black"}}})
    w.run(3)
    [after] = w.workers["a"].tasks.values()
    assert after.order.lease > kept.order.lease


def test_a_task_that_does_not_start_gives_its_cores_back() -> None:
    w = world(SETTINGS.model_copy(update={"reservation_timeout_s": 5.0}))
    w.add("a", 1.0, starts=False)
    w.want("news", 0.5)
    w.run(4)
    assert w.placing.reservations.of_worker("a") == 0.5
    w.run(5.5)
    assert w.placing.reservations.of_worker("a") == 0.0
    w.add("b", 2.0)
    w.run(5)
    assert w.running("news") == ["b"], "the worker that failed it is left alone"


def test_a_lost_worker_is_replaced_at_once() -> None:
    w = world()
    w.add("a", 1.0)
    w.add("b", 2.0)
    w.want("news", 0.5)
    w.run(6)
    w.workers["a"].up = False
    lost_at_s = w.now_s
    while not w.incidents("worker_lost"):
        w.step()
    assert w.now_s - lost_at_s <= 2, "its origin has lost the connection: one missed report"
    w.run(2)
    assert w.running("news") == ["b"]
    assert w.discontinuities["news"] == 1
    assert w.decisions("place")[-1].rule == "worker_lost"


def test_a_worker_that_is_only_cut_off_from_the_manager_has_longer() -> None:
    w = world()
    w.add("a", 1.0)
    w.add("b", 2.0)
    w.want("news", 0.5)
    w.run(6)
    w.workers["a"].heard = False
    w.run(SETTINGS.lost_after_s)
    assert not w.incidents("worker_lost")
    w.run(1)
    assert w.incidents("worker_lost")


def test_a_publisher_that_has_not_come_yet_finds_its_worker() -> None:
    w = world(SETTINGS.model_copy(update={"reservation_timeout_s": 5.0}))
    w.add("a", 1.0, starts=False)
    w.add("b", 2.0)
    w.want("news", 0.5, listens=True)
    w.run(30)
    assert w.placing.reservations.of_worker("a") == 0.5
    w.workers["a"].starts = True
    w.run(1)
    assert w.running("news") == ["a"] and len(w.decisions("place")) == 1


def test_a_backup_is_on_another_host() -> None:
    w = world()
    w.add("a", 1.0, host="h1")
    w.add("b", 1.0, host="h1")
    w.add("c", 4.0, host="h2")
    w.want("news", 0.5, backup=True)
    w.run(7)
    places = {(t.role, t.worker) for t in w.placing.tasks}
    assert places == {("primary", "a"), ("backup", "c")}


def test_one_too_heavy_for_any_worker_is_refused_with_what_would_fit() -> None:
    w = world()
    w.add("a", 2.0)
    w.want("heavy", 4.0)
    w.run(30)
    assert not w.running("heavy")
    refused = w.decisions("refuse")
    assert len(refused) == 1, "it is tried again, and not told each time"
    assert "would fit: preset" in refused[0].why and "a worker with 4 cores" in refused[0].why
    w.add("large", 5.0)
    w.run(4)
    assert w.running("heavy") == ["large"]


def test_the_most_urgent_waits_least_and_the_queue_has_a_bound() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("first", 0.9)
    w.run(5)
    for n in range(6):
        w.want(f"later{n}", 0.9, priority=n)
    w.run(3)
    assert len(w.placing.waiting) == 4
    del w.wanted["first"]
    w.run(3)
    assert w.running("later5") == ["a"]
    w.run(40)
    assert all(r.why for r in w.decisions("refuse")) and w.decisions("refuse")


def test_a_large_fleet_that_starts_is_placed_without_a_refusal() -> None:
    w = world()
    for number in range(25):
        w.add(f"w{number}", 4.0)
    for number in range(80):
        w.want(f"c{number}", 0.9)
    w.run(8)
    assert all(w.running(f"c{number}") for number in range(80))
    assert not w.decisions("refuse") and not w.decisions("queue")


def test_a_small_one_behind_large_ones_gets_its_turn() -> None:
    w = world(SETTINGS.model_copy(update={"queue": QueueSettings(waiting_max=40)}))
    w.add("a", 1.0)
    w.want("first", 0.7)
    w.run(5)
    for number in range(30):
        w.want(f"large{number}", 0.9)
    w.want("small", 0.2, priority=0)
    w.run(10)
    assert w.running("small") == ["a"]


def test_what_was_reserved_for_want_of_knowledge_is_given_back() -> None:
    sure = SETTINGS.strategy.model_copy(update={"confidence": 0.9})
    w = World(SETTINGS.model_copy(update={"strategy": sure}), sigma_log=0.5)
    w.add("a", 1.0)
    w.want("news", 0.5, really=0.3)
    w.want("more", 0.3, really=0.2)
    w.run(20)
    assert w.placing.reservations.of_worker("a") > 0.9 and not w.running("more")
    w.run(30)
    kept = {task.channel: w.placing.reservations.of_task(task.id) for task in w.placing.tasks}
    assert kept["news"] < 0.5 and w.running("more") == ["a"]
    assert w.decisions("cores")[0].rule == "room_again"


def test_a_slow_task_gets_cores_first() -> None:
    w = world()
    w.add("a", 2.0)
    w.want("news", 0.5, really=0.8)
    w.run(20)
    assert [d.action for d in w.decisions()] == ["place", "cores"]
    assert w.placing.reservations.of_worker("a") >= 0.8
    [running] = w.workers["a"].tasks.values()
    assert running.speed >= 1.0


def test_without_cores_a_faster_preset_then_fewer_rungs_then_another_worker() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.9, really=8.0)
    w.run(18)
    assert [d.action for d in w.decisions()] == ["place", "cores", "preset", "shed"]
    w.believed["news"] = w.model.cores["news"] = 8.0
    w.add("b", 16.0)
    w.run(20)
    assert w.running("news") == ["b"], [d.action for d in w.decisions()]
    assert w.decisions()[-1].action == "move"
    [task] = w.placing.tasks
    assert (task.preset, task.shed) == ("", ()), "the new one is whole again"
    assert w.discontinuities["news"] == 1


def test_steps_are_undone_in_reverse_when_there_is_room() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.9, really=1.5)
    w.run(20)
    taken = [d.action for d in w.decisions()][1:]
    assert taken == ["cores", "preset"]
    w.truth["news"] = 0.5
    w.run(60)
    assert "restore" in [d.action for d in w.decisions()]
    [task] = w.placing.tasks
    assert (task.preset, task.shed) == ("", ())


def test_a_worker_that_drains_is_left_without_a_gap() -> None:
    w = world()
    w.add("a", 1.0)
    w.add("b", 2.0)
    w.want("news", 0.5)
    w.run(6)
    w.workers["a"].draining = True
    while w.running("news") != ["b"]:
        assert w.running("news"), "make before break"
        w.step()
    assert w.discontinuities["news"] == 1
    assert w.decisions("move")[0].rule == "worker_drains"


def test_after_a_restart_of_the_manager_no_task_runs_twice_and_none_is_lost() -> None:
    w = world()
    for name in ("a", "b"):
        w.add(name, 2.0)
    for name in ("one", "two", "three"):
        w.want(name, 0.9)
    w.run(8)
    before = {name: w.running(name) for name in w.wanted}
    leases = dict(w.leases)
    w.manager_up = False
    w.run(20)
    w.restart()
    w.run(20)
    assert {name: w.running(name) for name in w.wanted} == before
    assert w.leases == leases and len(w.placing.reservations) == 3
    w.want("four", 0.2)
    w.run(5)
    assert len(w.running("four")) == 1


def test_a_restart_in_the_middle_of_a_move_ends_in_one_task() -> None:
    for after_s in (0.5, 1.0, 1.5, 2.0):
        w = world()
        w.add("a", 1.0)
        w.add("b", 2.0, start_s=2.0)
        w.want("news", 0.5)
        w.run(6)
        w.workers["a"].draining = True
        w.run(after_s)
        w.manager_up = False
        w.run(3)
        w.restart()
        w.run(15)
        assert w.running("news") == ["b"], f"after {after_s} s"
        assert w.discontinuities["news"] == 1


def test_before_an_origin_was_heard_its_tasks_go_on() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.5)
    w.run(6)
    w.manager_up = False
    w.origin_up = False
    w.restart()
    with pytest.raises(NotReady, match="news"):
        w.workers["a"].sequence += 1
        w.placing.worker_reported(w.report_of(w.workers["a"]), w.now_s, w.utc)
    w.run(10)
    assert w.workers["a"].tasks, "no directive, and nothing is ended"
    w.origin_up = True
    w.run(3)
    assert w.running("news") == ["a"]


def test_a_worker_that_was_cut_off_and_comes_back_does_not_run_it_twice() -> None:
    w = world()
    w.add("a", 1.0)
    w.add("b", 2.0)
    w.want("news", 0.5)
    w.run(6)
    w.workers["a"].heard = False
    w.run(10)
    w.workers["a"].heard = True
    w.run(4)
    assert len(w.running("news")) == 1
    assert len(list(w.placing.tasks)) == 1


def test_two_workers_with_one_name_the_second_is_told() -> None:
    w = world()
    w.add("a", 1.0)
    w.run(2)
    twin = w.report_of(w.workers["a"]).model_copy(update={"boot": "other", "sequence": 1})
    told = w.placing.worker_reported(twin, w.now_s, w.utc)
    assert "another worker is named a" in told.refused and not told.tasks
    w.workers["a"].up = False
    w.run(5)
    assert not w.placing.worker_reported(twin, w.now_s, w.utc).refused, "the name is free again"


def test_nonsense_is_cut_counted_and_told() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.5)
    w.run(6)
    report = w.report_of(w.workers["a"])
    odd = report.tasks[0].model_copy(update={"speed": 999.0, "cpu_cores": 400.0})
    future = odd.model_copy(update={"task": "x.p9", "lease": 2**52})
    lying = report.model_copy(
        update={"sequence": 10_000, "cpu_cores": 50.0, "tasks": [odd, odd, future]}
    )
    w.placing.worker_reported(lying, w.now_s, w.utc)
    assert set(w.placing.workers.counts) == {"cpu", "speed", "task", "lease"}
    [task] = w.placing.tasks
    assert task.report is not None and task.report.speed is None and task.report.cpu_cores <= 1.5
    with pytest.raises(RemoteError, match="version"):
        w.placing.worker_reported(report.model_copy(update={"version": 9}), w.now_s, w.utc)


def test_what_a_former_manager_took_away_comes_back_when_there_is_room() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.9, really=1.5)
    w.run(20)
    [before] = w.workers["a"].tasks.values()
    assert before.order.preset
    w.restart()
    w.run(6)
    [after] = w.workers["a"].tasks.values()
    assert after.order == before.order.model_copy(update={"cores": after.order.cores})
    w.truth["news"] = 0.5
    w.run(40)
    [task] = w.placing.tasks
    assert (w.placing.known.preset_of(task), task.shed) == ("", ())
    assert w.discontinuities["news"] == 0, "the lease was the same all the time"


def test_an_origin_that_tells_what_runs_does_not_change_what_is_ordered() -> None:
    w = world()
    w.add("a", 1.0)
    w.want("news", 0.9, really=1.5)
    w.run(20)
    [running] = w.workers["a"].tasks.values()
    ordered = running.order.preset
    assert ordered
    echoed = w.signatures["news"].model_copy(update={"preset": ordered})
    w.wanted["news"] = w.wanted["news"].model_copy(update={"signature": echoed})
    for _ in range(6):
        w.step()
        assert running.order.preset == ordered
