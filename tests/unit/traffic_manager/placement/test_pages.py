"""Placements and tasks as they stand in a terminal."""

from io import StringIO

from rich.console import Console

from traffic_manager.placement.pages import costs_page, tasks_page

TASK = {
    "channel": "news",
    "role": "primary",
    "worker": "worker-1",
    "state": "starting",
    "predicted_cores": 0.26,
    "realised_cores": 0.22,
    "reserved_cores": 0.42,
    "speed": 1.0,
}


def test_tasks_stand_whole_in_a_terminal_of_80_columns() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(tasks_page({"tasks": [TASK], "refusals": [], "adopting": False}))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    for word in ("news", "worker-1", "predicted", "reserved", "speed", "-15%", "1.00x"):
        assert word in written


COSTS = {
    "samples": 212,
    "error": 0.061,
    "channels": {f"c{number}": 1.0 + number / 100 for number in range(14)},
    "workers": {"w1": 1.29},
    "drift": [{"at_utc": 1.8e9, "action": "kept", "text": "predictions are off by 30 %"}],
    "versions": [
        {"version": 8, "made_at_utc": 1.8e9, "samples": 100, "error": None, "of_version": 6},
        {"version": 7, "made_at_utc": 1.8e9, "samples": None, "error": 0.07, "of_version": None},
    ],
}


def test_costs_are_told_dearest_first_with_what_can_be_gone_back_to() -> None:
    console = Console(file=StringIO(), width=80)
    console.print(costs_page(COSTS))
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "212 samples, predictions are off by 6.1%" in written
    assert "channels: c13 x 1.13, c12 x 1.12" in written and "4 more" in written
    assert "workers: w1 x 1.29" in written and "off by 30 %" in written
    for word in ("2027-01-15 08:00:00", "as version 6", "7.0%"):
        assert word in written
    console.print(costs_page({**COSTS, "error": None, "versions": [], "drift": []}))
    assert "nothing predicted yet" in console.file.getvalue()  # type: ignore[attr-defined]
