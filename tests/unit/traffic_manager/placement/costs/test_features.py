import math

import pytest

from surgecast.control.messages import Complexity, RungSignature, Signature
from traffic_manager.placement.costs.features import (
    FEATURES,
    PRESETS,
    X264_OPTIONS,
    features,
    option_as_number,
    options_of,
)

RUNG = RungSignature(rung="360p", width=640, height=360, frame_rate=30.0, video_bps=800e3)


def signature(**changes) -> Signature:
    given = {"width": 1280, "height": 720, "frame_rate": 30.0, "rungs": [RUNG], **changes}
    return Signature(**given)


def test_a_rung_is_described_by_size_rates_and_the_options_of_its_preset():
    found = features(
        signature(
            complexity=Complexity(bits_per_pixel=0.25, motion=0.5), source_bps=2e6, preset="medium"
        ),
        RUNG,
    )
    assert set(found) == set(FEATURES)
    assert found["pixels_log2"] == math.log2(640 * 360)
    assert found["bits_per_pixel_log2"] == pytest.approx(math.log2(800e3 / (640 * 360 * 30)))
    assert (found["complexity_log2"], found["motion"]) == (-2.0, 0.5)
    assert (found["subme"], found["ref"], found["bframes"]) == (7.0, 3.0, 3.0)


def test_what_is_not_known_is_left_out():
    found = features(signature(preset="homemade"), RUNG)
    assert not {"complexity_log2", "motion", "source_bits_per_pixel_log2", "subme"} & set(found)
    still = RUNG.model_copy(update={"width": 0, "video_bps": 0.0})
    assert all(math.isfinite(value) for value in features(signature(), still).values())


def test_a_slower_preset_never_has_less_of_what_costs_most():
    for option in ("ref", "subme", "me", "trellis", "bframes", "rc_lookahead"):
        values = [options_of(preset)[option] for preset in PRESETS]
        assert values == sorted(values), option
    assert options_of("veryfast").keys() == set(X264_OPTIONS)


def test_an_option_that_is_not_known_is_refused_with_those_that_are():
    assert option_as_number("me", "umh") == 2.0
    assert option_as_number("deblock", "1:0:0") == 1.0
    assert option_as_number("b_adapt", "") == 0.0
    with pytest.raises(ValueError, match="me 'star'; allowed: dia, hex"):
        option_as_number("me", "star")
