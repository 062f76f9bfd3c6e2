"""Another relay or a lower rung: situation -> the plan, its odds and its price."""

import pytest

from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.policy.cost import Case, Lowering, Spread, Step, cheapest, lowerings
from traffic_manager.settings import PriceSettings, SloSettings

MBPS = 1e6
PRICES = PriceSettings(relay_hour=0.6, gb=0.0, lowered_viewer_hour=0.01)
SLO = SloSettings(overload_share_max=0.01, rung_min="480p")
LOWER = Lowering(0.5, {"demo": "480p"})


def spread(low: float, high: float) -> Spread:
    """Evenly between two rates, in Mbit/s."""
    return Spread([(low + (high - low) * q) * MBPS for q in QUANTILES])


def case(demand: Spread, **values) -> Case:
    fields = {
        "demand": demand,
        "carried_bps": 85 * MBPS,
        "relay_bps": 85 * MBPS,
        "relays_max": 8,
        "lowerings": [LOWER],
        "viewers": 50.0,
        "life_s": 3600.0,
    }
    return Case(**fields | values)


def test_what_is_passed_with_which_probability():
    evenly = spread(50, 150)
    assert evenly.above(100 * MBPS) == pytest.approx(0.5)
    assert evenly.at(0.5) == pytest.approx(100 * MBPS)
    assert evenly.mean == pytest.approx(100 * MBPS, rel=0.01)
    for share in (0.02, 0.3, 0.9, 0.95, 0.99, 0.997):
        assert evenly.above(evenly.at(share)) == pytest.approx(1 - share)
    assert 0 < evenly.above(200 * MBPS) < evenly.above(160 * MBPS) < 0.05
    assert evenly.above(0.0) == 1.0


def test_what_is_certain_is_passed_by_nothing_or_by_all():
    certain = Spread([MBPS] * len(QUANTILES))
    assert certain.above(MBPS) == 0.0
    assert certain.above(0.9 * MBPS) > 0.95
    assert certain.at(0.999) == MBPS == pytest.approx(certain.mean)
    nothing = Spread([0.0] * len(QUANTILES))
    assert nothing.above(0.0) == nothing.mean == 0.0


CHOICES = [
    # demand, other values of the case, relays, lowered, words in the reason
    ("fits as it is", spread(10, 60), {}, 0, False, "nothing"),
    ("few viewers: a lower rung", spread(60, 100), {"viewers": 50}, 0, True, "1 more relay would"),
    ("many viewers: a relay", spread(60, 100), {"viewers": 90}, 1, False, "demo at 480p would"),
    ("both, where that is the cheapest", spread(200, 310), {"viewers": 50}, 1, True, "cheapest"),
    ("no lower rung is allowed", spread(60, 100), {"lowerings": []}, 1, False, "cheapest"),
    ("no relay may come", spread(60, 100), {"relays_max": 0, "viewers": 9e9}, 0, True, "cheapest"),
    ("nothing is enough", spread(900, 999), {"relays_max": 2}, 2, True, "no plan keeps"),
]


@pytest.mark.parametrize(
    ("demand", "values", "relays", "lowered", "why"),
    [one[1:] for one in CHOICES],
    ids=[one[0] for one in CHOICES],
)
def test_the_cheapest_plan_that_meets_the_slo(demand, values, relays, lowered, why):
    choice = cheapest(case(demand, **values), PRICES, SLO)
    assert (choice.relays, bool(choice.lowering.rungs)) == (relays, lowered)
    assert why in choice.why
    met = choice.overload_share <= SLO.overload_share_max
    assert met is ("no plan" not in why)


def test_a_price_is_that_of_relays_viewers_and_gigabytes_over_the_least_life():
    prices = PriceSettings(relay_hour=0.6, gb=0.02, lowered_viewer_hour=0.01)
    demand = Spread([120 * MBPS] * len(QUANTILES))
    relay = cheapest(case(demand, lowerings=[], life_s=1800.0), prices, SLO)
    assert relay.price == pytest.approx(0.3 + 120e6 * 1800 / 8e9 * 0.02)
    lower = cheapest(case(demand, relays_max=0, life_s=1800.0), prices, SLO)
    assert lower.price == pytest.approx(50 * 0.5 * 0.01 + 60e6 * 1800 / 8e9 * 0.02)


def test_a_stricter_slo_takes_more_relays():
    demand = spread(100, 260)
    counts = [
        cheapest(case(demand, lowerings=[]), PRICES, SloSettings(overload_share_max=share)).relays
        for share in (0.49, 0.1, 0.0001)
    ]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_steps_down_take_all_channels_by_the_same_share():
    ladders = {
        "a": [Step("720p", 4.0, 2.0), Step("480p", 2.0, 1.0), Step("240p", 1.0, 0.0)],
        "b": [Step("hd", 3.0, 1.5), Step("sd", 2.0, 0.9)],
    }
    steps = list(lowerings({"a": 30.0, "b": 10.0, "other": 10.0}, ladders))
    assert [dict(step.rungs) for step in steps] == [
        {"a": "480p", "b": "sd"},
        {"a": "480p", "b": "sd"},
        {"a": "240p", "b": "sd"},
    ]
    assert steps[0].share == pytest.approx((15 + 20 / 3 + 10) / 50)
    viewers_a, viewers_b = 30 / 4, 10 / 3
    assert [step.utility for step in steps[1:]] == pytest.approx(
        [(viewers_a * u + viewers_b * 0.9) / (viewers_a + viewers_b) for u in (1.0, 0.0)]
    )
    assert list(lowerings({}, ladders)) == list(lowerings({"a": 0.0}, ladders)) == []


LADDER = [Lowering(0.5, {"demo": "480p"}, 1.2), Lowering(0.25, {"demo": "240p"}, 0.3)]
UTILITIES = [
    # the least utility, demand, other values of the case, relays, rung, words in the reason
    ("nothing is asked", None, spread(200, 300), {"relays_max": 0}, 0, "240p", "cheapest"),
    ("a little", 0.3, spread(200, 300), {"relays_max": 0}, 0, "240p", "cheapest"),
    ("more: a relay and a rung", 1.0, spread(200, 300), {}, 1, "480p", "cheapest"),
    ("more than any but the best", 1.3, spread(200, 300), {}, 3, None, "cheapest"),
    ("more, and few relays left", 1.3, spread(100, 150), {"relays_max": 0}, 0, "480p", "at 1.30"),
    ("more than there is, and all fits", 9.0, spread(60, 80), {}, 0, None, "cheapest"),
    ("overload counts first", 1.0, spread(200, 300), {"relays_max": 0}, 0, "240p", "at 1.00"),
    ("nothing is enough", 1.0, spread(900, 999), {"relays_max": 0}, 0, "240p", "no plan keeps"),
]


@pytest.mark.parametrize(
    ("least", "demand", "values", "relays", "rung", "why"),
    [one[1:] for one in UTILITIES],
    ids=[one[0] for one in UTILITIES],
)
def test_viewers_are_not_lowered_below_the_utility_that_is_asked_for(
    least, demand, values, relays, rung, why
):
    slo = SloSettings(overload_share_max=0.01, utility_min=least)
    choice = cheapest(case(demand, lowerings=LADDER, viewers=1.0, **values), PRICES, slo)
    assert (choice.relays, choice.lowering.rungs.get("demo")) == (relays, rung)
    assert why in choice.why
