"""Lends the parsers of files a folder."""

from collections.abc import Iterator

import pytest

from tests.fuzz.samples import SHELF


@pytest.fixture(autouse=True)
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    SHELF[:] = [tmp_path_factory.mktemp("fuzz")]
    yield
    SHELF.clear()
