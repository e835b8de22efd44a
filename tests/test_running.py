"""How the tests themselves are run: what shares a house or a trained model runs in one process."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("together")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    if not hasattr(request.config, "workerinput"):
        pytest.skip("only several processes need groups")
    assert request.node.nodeid.endswith("@together"), "pytest-xdist's groups have no effect under this pytest"
