"""The guide's examples run, and its table of operators is the table of rules."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import coordinator.compiler
from coordinator.compiler.rules.table import RULES

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "train-steps.md"
REWRITTEN = {"GroupNormalization", "InstanceNormalization"}  # to what has a rule


def test_the_guide_s_examples_run() -> None:
    failed, tried = doctest.testfile(
        str(GUIDE), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert tried > 5
    assert failed == 0


def test_the_guide_lists_every_operator_that_has_a_gradient() -> None:
    text = GUIDE.read_text("utf-8")
    table = text.partition("## What is differentiated")[2].partition("\n\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    listed = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    assert listed == set(RULES) | REWRITTEN


def test_the_examples_of_every_module_run() -> None:
    package = coordinator.compiler
    names = [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    modules = [importlib.import_module(name) for name in (*names, "edge.learning.step_runner")]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.attempted for result in results) >= 8
    assert sum(result.failed for result in results) == 0
