"""For every test: slow ones come last, so that a quick failure is seen quickly."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    if "nightly" not in config.option.markexpr:
        tonight = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=tonight)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
