"""For every test: slow ones come last, so that a quick failure is seen quickly.

Where several workers share them, those that wait for other programs are dealt out between all
others: beside one that waits two others work, and no processor ever does.
"""

import gc

import pytest

_WAITING = "tests/deployment/"
# of the other slow ones, the longest first: none of them is left for the end, alone
_LONGEST = ("tests/simulations/engines/", "tests/coordinator/rounds/test_crash", "tests/house/")
_SLOW_WEIGHS = 40  # times a quick one
_LAST_BEGINS = 0.75  # of the others' time

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
    if hasattr(config, "workerinput"):
        items[:] = _dealt_out(items)


def _place(item: pytest.Item) -> tuple[bool, int]:
    """Return where a test belongs; tests of one place stay in the order of their files."""
    slow, folders = _is_slow(item), (_WAITING, *_LONGEST)
    early = [item.nodeid.startswith(folder) for folder in folders]
    return slow, [*early, True].index(True) if slow else 0


def _dealt_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return tests with those that wait spread over the others, in the order of both."""
    waits = [_is_slow(item) and item.nodeid.startswith(_WAITING) for item in items]
    waiting = [item for item, wait in zip(items, waits, strict=True) if wait]
    others = [item for item, wait in zip(items, waits, strict=True) if not wait]
    weights = [_SLOW_WEIGHS if _is_slow(item) else 1 for item in others]
    step = _LAST_BEGINS * sum(weights) / max(len(waiting), 1)
    found, passed, begun = list[pytest.Item](), 0, 0
    for item, weight in zip(others, weights, strict=True):
        if begun < len(waiting) and passed >= begun * step:
            found.append(waiting[begun])
            begun += 1
        found.append(item)
        passed += weight
    return [*found, *waiting[begun:]]


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None
