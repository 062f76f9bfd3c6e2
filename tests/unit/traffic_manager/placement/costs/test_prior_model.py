"""What is expected of encodes that nobody has measured here."""

import json
import math
from importlib.resources import files
from pathlib import Path

import pytest

from scripts.build_prior import built
from surgecast.control.messages import Complexity, RungSignature, Signature
from traffic_manager.placement.costs.model_store import unpacked
from traffic_manager.placement.costs.prior_file import shipped_prior
from traffic_manager.placement.costs.prior_model import Prior

DATA = Path("../shared/data")
MODEL = files("traffic_manager.placement.costs") / "prior" / "x264.model"
PRIOR = shipped_prior()
SIZES = {"720p": (1280, 720, 2.8e6), "480p": (854, 480, 1.4e6), "360p": (640, 360, 8e5)}


def rung(name: str) -> RungSignature:
    width, height, video_bps = SIZES[name]
    return RungSignature(
        rung=name, width=width, height=height, frame_rate=30.0, video_bps=video_bps
    )


def signature(*names: str, **other) -> Signature:
    values = {
        "width": 1280,
        "height": 720,
        "frame_rate": 30.0,
        "complexity": Complexity(bits_per_pixel=0.15, motion=0.5),
        "rungs": [rung(name) for name in names or SIZES],
    }
    return Signature(**(values | other))


def test_a_channel_costs_what_a_channel_costs():
    """About half a core for a 720p ladder of three at veryfast: not 10 times that, nor a tenth."""
    expected = PRIOR.channel(signature())
    assert 0.25 < expected.cores < 1.0
    assert expected.doubts == ()


def test_slower_presets_and_larger_pictures_cost_more():
    assert PRIOR.presets[0] == "ultrafast" and PRIOR.presets[-1] == "veryslow"
    costs = [PRIOR.channel(signature(), preset=preset).cores for preset in PRIOR.presets]
    assert costs == sorted(costs)
    each = [PRIOR.rung(signature(), rung(name)).cores for name in ("360p", "480p", "720p")]
    assert each == sorted(each)
    double = rung("720p").model_copy(update={"frame_rate": 60.0})
    assert PRIOR.rung(signature(), double).cores > PRIOR.rung(signature(), rung("720p")).cores


def test_a_rung_that_is_shed_costs_nothing():
    whole, less = PRIOR.channel(signature()), PRIOR.channel(signature(), shed=["720p"])
    gone = PRIOR.rung(signature(), rung("720p")).cores
    assert whole.cores - less.cores == pytest.approx(gone)
    assert PRIOR.channel(signature(), shed=list(SIZES)).cores > 0, "it is decoded still"


def test_the_machine_is_a_doubt_of_its_own():
    fast = "AMD EPYC 7742 64-Core Processor"
    unknown, known = PRIOR.channel(signature()), PRIOR.channel(signature(), cpu_model=fast)
    assert known.cores < 0.75 * unknown.cores
    assert known.level_sigma_log < unknown.level_sigma_log
    assert known.sigma_log == pytest.approx(unknown.sigma_log)


@pytest.mark.parametrize(
    ("other", "doubt"),
    [
        ({"complexity": None}, "complexity not known"),
        ({"complexity": Complexity(bits_per_pixel=50.0, motion=0.5)}, "complexity out of range"),
        ({"preset": "warp"}, "preset warp as veryfast"),
        ({"codec": "hevc"}, "source of hevc: decoding as if H.264"),
    ],
)
def test_what_is_not_known_is_said(other, doubt):
    usual, odd = PRIOR.channel(signature()), PRIOR.channel(signature(**other))
    assert doubt in odd.doubts
    assert odd.sigma_log >= usual.sigma_log
    if "codec" not in other:
        assert odd.sigma_log > usual.sigma_log


def test_out_of_range_uncertainty_grows_with_the_distance_and_cost_with_the_pixels():
    sigmas, costs = [], []
    for times in (1, 4, 16, 64):
        width = 1920 * times
        video_bps = 0.1 * 30 * width * 1080
        large = RungSignature(
            rung="large", width=width, height=1080, frame_rate=30.0, video_bps=video_bps
        )
        expected = PRIOR.rung(signature(width=width, height=1080), large)
        sigmas.append(expected.sigma_log)
        costs.append(expected.cores)
    assert sigmas[1:] == sorted(sigmas[1:]) and sigmas[3] > sigmas[2] > sigmas[1]
    assert costs[3] / costs[2] == pytest.approx(4)


@pytest.mark.parametrize("name", ["width", "frame_rate", "video_bps"])
def test_a_rung_that_cannot_be_is_no_error(name):
    broken = rung("720p").model_copy(update={name: 0})
    expected = PRIOR.rung(signature(), broken)
    assert math.isfinite(expected.cores) and expected.doubts


def test_a_content_that_is_no_prior_is_refused():
    state = json.loads(unpacked(MODEL.read_bytes()).content)
    for broken in (
        state | {"format": 2},
        state | {"presets": {}},
        state | {"presets": {"veryfast": {"encode": {"weights": [1], "sigma_log": 1}}}},
        state | {"live_sigma_log": "nan"},
        state | {"live_sigma_log": math.nan},
        [],
        None,
    ):
        with pytest.raises((ValueError, KeyError, TypeError)):
            Prior.load(json.dumps(broken).encode())


@pytest.mark.skipif(not DATA.exists(), reason="needs the data sets of ../shared")
def test_what_is_shipped_is_what_the_script_builds():
    built_now = built(DATA)
    shipped = json.loads(unpacked(MODEL.read_bytes()).content)
    # To the last digit on one machine; libraries may differ by less than what is kept.
    assert json.loads(json.dumps(built_now), parse_float=lambda text: round(float(text), 3)) == (
        json.loads(json.dumps(shipped), parse_float=lambda text: round(float(text), 3))
    )
