"""For every test: slow ones come last, so that a quick failure is seen quickly."""

import gc

import pytest

# Of the slow ones, those that wait for other programs come first: meanwhile the others have the
# processor, and none of the long ones is left for the end, when there is nothing beside it.
_WAITING = ("tests/deployment/", "tests/simulations/engines/", "tests/house/")

# thousands of tests are made here and stay until the end: looking through them for what may go
# takes as long as making them
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=_place)
    if "nightly" not in config.option.markexpr:
        tonight = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=tonight)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


def _place(item: pytest.Item) -> tuple[bool, int]:
    """Return where a test belongs; tests of one place stay in the order of their files."""
    slow = item.get_closest_marker("slow") is not None
    waiting = [item.nodeid.startswith(folder) for folder in _WAITING]
    return slow, [*waiting, True].index(True) if slow else 0
