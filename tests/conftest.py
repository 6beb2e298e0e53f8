"""For every test: slow ones come last, so that a quick failure is seen quickly."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_place)
    if "nightly" not in config.option.markexpr:
        tonight = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=tonight)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


def _place(item: pytest.Item) -> tuple[bool, bool]:
    """Return where a test belongs: among the slow ones, the longest are not to be the last."""
    slow = item.get_closest_marker("slow") is not None
    return slow, "deployment" not in item.nodeid
