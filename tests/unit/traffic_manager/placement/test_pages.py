"""Placements and tasks as they stand in a terminal."""

from io import StringIO

from rich.console import Console

from traffic_manager.placement.pages import tasks_page

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
