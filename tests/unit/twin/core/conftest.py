from __future__ import annotations

import pytest

from tests.unit.twin.core.toy import Toy, make_toy


@pytest.fixture
def toy() -> Toy:
    return make_toy()


@pytest.fixture(params=[False, True], ids=["direct", "codec"])
def codec(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
