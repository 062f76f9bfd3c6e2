"""`surgecast swarm`: what its words mean, and what is refused and how."""

import argparse
import gzip
import json
from pathlib import Path

import pytest

from player.swarm import cli as swarm_cli
from player.swarm.arrivals import Leave, constant, flash_crowd, ramp
from player.swarm.crowd import Plan, Swarm, channel_of, entry_url
from player.swarm.links import steady
from player.swarm.report import SwarmReport
from player.swarm.traces import networks_of, viewers_of
from player.swarm.words import crowd_of, leave_of, links_of, shares_of
from surgecast.errors import ConfigError
from tests.unit.player.swarm.test_quality import moment, outcome

FOLLOW = (Leave.FOLLOW, 1.0)
URL = "http://m/watch/demo"


def plan(*words: str) -> Plan:
    parser = argparse.ArgumentParser()
    swarm_cli.configure(parser)
    return swarm_cli.plan_of(parser.parse_args([URL, *words]))


def test_crowds() -> None:
    assert crowd_of("constant:40", FOLLOW).curve == constant(40)
    assert crowd_of("ramp:to=9,over=3", FOLLOW).curve == ramp(9, 3)
    flash = crowd_of("flash:from=20,to=400,over=30,hold=60,away=5,after=1,region=b", FOLLOW)
    assert flash.curve == flash_crowd(20, 400, 30, 60, 5, 1) and flash.region == "b"


def test_a_crowd_through_points() -> None:
    curve = crowd_of("points:0=4,30=80,60.5=0", FOLLOW).curve
    assert [curve.at(t_s) for t_s in (0, 15, 30, 99)] == [4, 42, 80, 0]


@pytest.mark.parametrize("text", ["points:", "points:x=3", "points:0=x", "points:9=1,3=1"])
def test_what_are_no_points(text: str) -> None:
    with pytest.raises(ConfigError):
        crowd_of(text, FOLLOW)


def test_a_crowd_from_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "viewers.csv.gz"
    text = "stream,t_s,viewers\ns1,0,5\ns2,0,100\ns2,10,300\n"
    path.write_bytes(gzip.compress(text.encode()))
    curve = crowd_of(f"trace:{path},stream=s2,scale=0.1,speed=2", FOLLOW).curve
    assert curve.points == ((0.0, 10.0), (5.0, 30.0))
    with pytest.raises(ConfigError, match="several streams: name one with stream=: s1, s2"):
        viewers_of(path)
    with pytest.raises(ConfigError, match="expected one of s1, s2, found 'x'"):
        viewers_of(path, "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sudden:3", "expected one of constant, ramp, flash, trace, points, found 'sudden'"),
        ("constant:many", "expected a number from 0, found 'many'"),
        ("constant:-1", "expected a number from 0"),
        ("constant", "expected a number="),
        ("ramp:to=3", "expected over="),
        ("ramp:to=3,over=2,hold=1", "unknown: hold"),
        ("trace:/nowhere.csv", "/nowhere.csv"),
        ("trace:/dev/null,speed=0", "above 0"),
    ],
)
def test_crowds_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        crowd_of(text, FOLLOW)


def test_leaving() -> None:
    assert leave_of("watch:90") == (Leave.WATCH, 90.0) and leave_of("end")[0] is Leave.END
    for text in ("never", "watch:", "watch:-1", "watch:inf"):
        with pytest.raises(ConfigError, match="--leave"):
            leave_of(text)


def test_regions() -> None:
    assert shares_of("a=0.3,b=0.7") == {"a": 0.3, "b": 0.7}
    for text in ("", "a", "a=", "a=0", "=1", "a=-1"):
        with pytest.raises(ConfigError, match="--regions"):
            shares_of(text)


def test_networks(tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    path.write_text("trace,t_s,mbps\na,0.84,1\na,1.84,2\nb,0,3\n", encoding="utf-8")
    assert [link.points for link in links_of(str(path))] == [
        ((0.0, 1e6), (1.0, 2e6)),
        ((0.0, 3e6),),
    ]
    assert links_of("2.5M") == (steady(2.5e6),)
    with pytest.raises(ConfigError, match="expected a file or a rate"):
        links_of("fast")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected columns t_s and mbps"),
        ("a,b\n1,2\n", "expected columns"),
        ("t_s,mbps\n", "no lines"),
        ("t_s,mbps\n0,fast\n", "line 2: expected numbers"),
        ("t_s,mbps\n0\n", "line 2"),
        ("t_s,mbps\n0,\ufffd\x00\n", "line"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        networks_of(path)


def test_a_plan() -> None:
    found = plan("--arrivals", "constant:5", "--arrivals", "ramp:to=9,over=3,region=b")
    assert found.seconds == 3 + swarm_cli.LINGER_S and len(found.crowds) == 2
    assert not found.habits.sync and found.links == ()
    found = plan("--sync", "--network", "3M", "--busy", "0.5", "--seconds", "7", "--low-latency")
    assert found.habits.sync and found.habits.sync_s is None and found.habits.low_latency
    assert (found.seconds, found.mix.busy, len(found.links)) == (7.0, 0.5, 1)
    assert plan("--sync", "8").habits.sync_s == 8.0
    with pytest.raises(ConfigError, match="from 0 to 1"):
        plan("--busy", "3")


def test_the_recorded_audience_and_networks_can_be_played() -> None:
    data = Path(__file__).parents[5] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no ../shared")
    viewers = data / "youtube_live_viewers_5s" / "viewers.csv.gz"
    curve = crowd_of(f"trace:{viewers},stream=s5,scale=0.01,speed=60", FOLLOW).curve
    assert 55 <= curve.peak <= 70 and curve.end_s == pytest.approx(59.2, abs=0.2)
    for name in ("hsdpa_norway", "fcc_2016", "oboe", "belgium_4g"):
        links = links_of(str(data / "network_traces" / f"{name}.csv.gz"))
        assert len(links) >= 40
        assert all(link.carried_at(1.0, 250_000) > 1.0 for link in links)


@pytest.mark.parametrize(
    ("url", "region", "joined"),
    [
        (URL, None, URL),
        (URL, "b", f"{URL}?region=b"),
        (f"{URL}?form=ll&region=x", "b", f"{URL}?form=ll&region=b"),
    ],
)
def test_the_region_goes_along(url: str, region: str | None, joined: str) -> None:
    assert entry_url(url, region) == joined


def test_the_channel_of_a_url() -> None:
    assert channel_of("http://o/live/demo/index.m3u8") == "demo"
    assert channel_of("http://m/watch/demo?form=ll") == "demo"
    assert channel_of("http://o/a/b.m3u8") == "a/b.m3u8"


@pytest.mark.parametrize(("error", "status"), [(None, 0), ("gone", 1)])
def test_the_status_says_whether_everybody_played(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: str | None,
    status: int,
) -> None:
    async def run(self: Swarm) -> SwarmReport:
        self._on_moment(moment(1.0))  # type: ignore[misc]
        return SwarmReport.of(URL, 1.0, [outcome(error=error)], [], cpu_s=0.1, requests=1)

    monkeypatch.setattr(Swarm, "run", run)
    parser = argparse.ArgumentParser()
    swarm_cli.configure(parser)
    assert swarm_cli.run(parser.parse_args([URL, "--progress"])) == status
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["final"] for line in lines] == [False, True]
    assert lines[0]["present"] == 4 and lines[1]["total"]["viewers"] == 1
    assert swarm_cli.run(parser.parse_args([URL])) == status
    assert "cut off" in capsys.readouterr().out
