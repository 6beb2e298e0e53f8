import doctest
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "governance.md"


def test_the_guides_examples_say_what_comes_out() -> None:
    found = doctest.testfile(str(GUIDE), module_relative=False)
    assert found.attempted >= 14
    assert found.failed == 0
