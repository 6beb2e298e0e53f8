"""Every process that died in a test lets go of what a real one would."""

from collections.abc import Iterator

import pytest

from tests.edge.flower.devices import OPENED


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
