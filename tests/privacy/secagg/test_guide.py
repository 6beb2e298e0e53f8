import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import privacy.secagg
from privacy.secagg import Floors
from privacy.secagg.parameters import COMPLETE_UP_TO

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "secure-sums.md"
MODULES = [module.name for module in pkgutil.iter_modules(privacy.secagg.__path__)]


def test_the_guide_says_what_the_code_does() -> None:
    result = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 10


def test_the_guide_names_the_numbers_the_code_has() -> None:
    text = GUIDE.read_text("utf-8")
    assert f"Up to {COMPLETE_UP_TO} devices" in text
    assert f"`least_sum` honest devices, {Floors().least_sum} by\n  default" in text


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"privacy.secagg.{name}")).failed == 0
