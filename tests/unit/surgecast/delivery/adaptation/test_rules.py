import pytest
from pydantic import ValidationError

from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.adaptation.rules import CapState, Load, decide
from surgecast.delivery.settings import AdaptationSettings
from tests.support.shows import RUNGS

SETTINGS = AdaptationSettings.model_validate(
    {
        "rules": [
            {"when": {"viewers_above": 200}, "rung_cap": "360p"},
            {"when": {"egress_above_bps": "40M"}, "rung_cap": "480p"},
        ]
    }
)


@pytest.mark.parametrize(
    ("egress_bps", "viewers", "rung"),
    [(0, 0, "720p"), (40e6, 200, "720p"), (41e6, 0, "480p"), (0, 201, "360p"), (41e6, 201, "360p")],
)
def test_the_first_rule_that_holds_wins(egress_bps: float, viewers: int, rung: str) -> None:
    state = decide(SETTINGS, RUNGS, CapState(), Load(egress_bps, viewers), 0)
    assert RUNGS[state.position] == rung


def test_down_at_once_and_up_after_a_while() -> None:
    state = CapState()
    caps = []
    for msn, egress_bps in enumerate([0, 50e6, 0, 0, 50e6, 0, 0, 0, 0, 0]):
        state = decide(SETTINGS, RUNGS, state, Load(egress_bps, 0), msn)
        caps.append(RUNGS[state.position])
    assert caps == ["720p"] + ["480p"] * 7 + ["720p"] * 2


def test_a_condition_needs_something_to_look_at() -> None:
    with pytest.raises(ValidationError, match="egress_above_bps, viewers_above or both"):
        AdaptationSettings.model_validate({"rules": [{"when": {}, "rung_cap": "360p"}]})


def test_rungs_that_do_not_exist_are_named() -> None:
    settings = AdaptationSettings.model_validate(
        {"start_rung": "8k", "rules": [{"when": {"viewers_above": 1}, "rung_cap": "4k"}]}
    )
    assert settings.unknown_rungs(RUNGS) == ["4k", "8k"]


def test_egress_is_measured_over_a_short_window() -> None:
    meter = EgressMeter(window_s=2.0)
    assert meter.sample(0.0, 1000) == 0.0
    assert meter.sample(1.0, 2000) == 8000.0
    assert meter.sample(1.0, 9000) == 8000.0
    for second in range(2, 6):
        rate = meter.sample(float(second), 2000)
    assert rate == 0.0
