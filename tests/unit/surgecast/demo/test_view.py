"""What the demo's terminal view makes of what the processes say."""

from rich.console import Console

from surgecast.demo.scene import Scene, ServerRow
from surgecast.demo.view import bar, draw, plain, shares, spark

ORIGIN = {
    "server": "origin",
    "role": "origin",
    "region": "home",
    "state": "serving",
    "viewers": 8,
    "egress_bps": 3e7,
    "budget_bps": 4e7,
    "more": "than is shown",
}


def scene() -> Scene:
    made = Scene(url="http://127.0.0.1:8080/", seconds=20.0, elapsed_s=3.0, part="calm")
    made.servers = [ServerRow.of(ORIGIN)]
    made.rungs = {"720p": 7, "480p": 1}
    made.take_crowd({"viewers": {"home": 6, "coast": 2}, "stalls": 1, "errors": {"404": 2}})
    made.tell("start coast: a crowd is expected")
    return made


def test_a_bar_is_red_beyond_the_budget_and_never_longer_than_its_room():
    assert bar(30.0, 40.0).plain.startswith("█" * 15 + "░" * 5)
    beyond = bar(80.0, 40.0)
    assert beyond.plain.startswith("█" * 20)
    assert any(span.style == "red" for span in beyond.spans)
    assert bar(80.0, 0.0).plain == "no limit"


def test_a_line_of_blocks_is_as_high_as_its_numbers():
    assert spark([0, 4, 8], 8) == " ▄█"
    assert spark([0, 0], 0) == "  "


def test_rungs_that_nobody_has_are_left_out():
    assert shares({"720p": 3, "480p": 0, "240p": 1}).plain.split() == ["720p", "3", "240p", "1"]


def test_the_whole_scene_is_drawn():
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(draw(scene()))
    text = console.export_text()
    for expected in ("origin", "home", "coast", "720p 7", "1 stalls, 2 request errors", "crowd is"):
        assert expected in text


def test_where_there_is_no_terminal_lines_say_the_same():
    first, second = plain(scene())
    assert "calm" in first
    assert second.strip() == "origin serving: 8 viewers, 30 Mbit/s"


def test_a_region_that_was_left_goes_on_with_nobody():
    made = scene()
    made.take_crowd({"viewers": {"home": 6}})
    assert list(made.history["coast"]) == [2, 0]
