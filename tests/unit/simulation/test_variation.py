"""One scenario as many: the same crowd for every policy of a seed, another for another seed."""

import pytest

from player.swarm.arrivals import Leave
from player.swarm.words import crowd_of
from simulation.scenario import Scenario
from simulation.studies.variation import Study, scenario_for
from surgecast.config import loads
from surgecast.errors import ConfigError
from tests.support.studies import SMALL


def study(**changes: object) -> Study:
    return Study(**{**SMALL, **changes})


def peak(scenario: Scenario) -> float:
    return crowd_of(scenario.crowds[0].arrivals, (Leave.FOLLOW, 1.0)).curve.peak


def test_policies_of_a_seed_meet_the_same_crowd_and_seeds_meet_others() -> None:
    varied = study(
        vary={"height": (100, 400)},
        noise=(0.05, 0.1),
        crowds=[{"arrivals": "ramp:to={height},over=20"}],
    )
    hpa, oracle = (scenario_for(varied, policy, 7) for policy in ("hpa", "oracle"))
    assert hpa.crowds == oracle.crowds
    assert (hpa.policy, oracle.policy) == ("hpa", "oracle")
    assert len({scenario_for(varied, "hpa", seed).crowds for seed in range(5)}) == 5


def test_drawn_values_stay_within_their_range_and_reach_its_ends() -> None:
    varied = study(vary={"height": (100, 400)}, crowds=[{"arrivals": "ramp:to={height},over=20"}])
    peaks = [peak(scenario_for(varied, "hpa", seed)) for seed in range(200)]
    assert 100 <= min(peaks) < 110 and 370 < max(peaks) <= 400


def test_noise_wanders_around_the_curve() -> None:
    noisy = scenario_for(study(noise=(0.1, 0.1), duration_s=3600), "hpa", 1)
    points = crowd_of(noisy.crowds[0].arrivals, (Leave.FOLLOW, 1.0)).curve.points
    levels = [viewers for at, viewers in points if at > 60]
    mean = sum(levels) / len(levels)
    assert 0.95 < mean / 100 < 1.05
    deviation = (sum((level - mean) ** 2 for level in levels) / len(levels)) ** 0.5
    assert 5 < deviation < 15


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("vary: {height: [5, 3]}", "height: 5 is above 3; expected [least, most]"),
        ("noise: [0.2, 0.1]", "noise: 0.2 is above 0.1"),
        ("crowds: [{arrivals: 'constant:{size}'}]", "crowds.0: arrivals: constant:{size}: no name"),
        ("crowds: [{arrivals: 'crash:1'}]", "crowds.0: arrivals: expected one of constant"),
        ("policies: [psychic]", "policies.0"),
        ("vaary: {}", "vaary: unknown setting; allowed here: name"),
    ],
)
def test_what_is_wrong_is_told_by_name(changes: str, told: str) -> None:
    text = "channels: [{ladder: [{rung: a, average_bps: 1M, vmaf: 90}]}]\nregions: {default: {}}\n"
    if "crowds" not in changes:
        text += "crowds: [{arrivals: 'constant:3'}]\n"
    with pytest.raises(ConfigError) as caught:
        loads(text + changes, Study, name="x.yaml", environ={})
    assert told in str(caught.value)
