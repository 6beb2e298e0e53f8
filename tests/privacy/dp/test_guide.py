import doctest
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "privacy-budget.md"


def test_the_guides_examples_say_what_comes_out():
    found = doctest.testfile(str(GUIDE), module_relative=False)
    assert found.attempted >= 12
    assert found.failed == 0
