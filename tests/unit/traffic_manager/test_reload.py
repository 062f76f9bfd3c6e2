"""What a new configuration changes at once, and what holds until the manager is started again."""

from typing import Any

import pytest

from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.reload import Changes, diff


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({}, Changes((), ())),
        ({"placement": {"unseen_cores": 2.0}}, Changes(("placement",), ())),
        ({"placement": {"predictor": "forest"}}, Changes((), ("placement.predictor",))),
        (
            {"placement": {"predictor": "forest", "constant_s": 5, "unseen_cores": 2.0}},
            Changes(("placement",), ("placement.constant_s", "placement.predictor")),
        ),
        (
            {"http": {"port": 1234}, "policy": {"relays_max": 3}},
            Changes(("policy",), ("http",)),
        ),
    ],
)
def test_what_is_in_force_and_what_is_not(new: dict[str, Any], expected: Changes) -> None:
    assert diff(ManagerSettings(), ManagerSettings.model_validate(new)) == expected
