from __future__ import annotations

import pytest

from tests.scaling_scenarios import SCENARIOS, Scenario, simulated


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scripted_load_scales_as_computed_by_hand(scenario: Scenario) -> None:
    assert simulated(scenario) == scenario.expected
