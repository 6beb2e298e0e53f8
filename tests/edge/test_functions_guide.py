"""The guide to labeling functions says what is so: its commands run elsewhere, the rest here."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from edge.check_baseline import Tolerance
from edge.labeling import Items, compile_functions
from edge.labeling.python_functions import _BATCH, _PATIENCE
from edge.settings import EdgeSettings
from fieldvote.expression_parser import parse_expression
from fieldvote.expressions import FUNCTIONS, MOST_STEPS, SIGNATURES
from fieldvote.function_file import KINDS, parse_functions
from fieldvote.function_library import function_words, library_templates
from fieldvote.functions import Definition, ExpressionFunction, FieldContract, PythonFunction
from fieldvote.task import TabularInput

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "functions.md").read_text("utf-8")


BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "[[" in block])
def test_every_table_of_the_guide_is_read(block: str) -> None:
    uncommented = re.sub(r"^# (calibration = .*)$", r"\1", block, flags=re.MULTILINE)
    texts = [block]
    if uncommented != block:
        texts.append(re.sub(r"^calibration = .*temperature.*$", "", uncommented, flags=re.M))
    for text in texts:
        (made,) = parse_functions(
            text.encode(), "guide", classes=("ordinary", "offer"), fields=None
        )
        assert made.kind in KINDS


def test_pins_are_written_as_a_device_reads_them() -> None:
    (block,) = [block for block in BLOCKS if "[[" not in block]
    ((key, pins),) = tomllib.loads(block).items()
    assert key in EdgeSettings.__dataclass_fields__
    (function,) = [each for each in BLOCKS if "entry_point" in each]
    assert all(
        f'"{name}"' in function and f'"{digest}"' in function for name, digest in pins.items()
    )


def test_the_guide_names_every_kind_key_library_entry_language_and_operation() -> None:
    for kind, definition in KINDS.items():
        line = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{kind}`"))
        known = set(definition.__dataclass_fields__) - {"kind"}
        shown = {"class_name": "class"}
        own = known - set(Definition.__dataclass_fields__)
        assert all(f"`{shown.get(name, name)}`" in line for name in own), kind
    for name in library_templates():
        assert f"`{name}`" in GUIDE
    assert f"`{' '.join(sorted(function_words()))}`" in GUIDE
    for operation in {*FUNCTIONS, *SIGNATURES} - {"negate"}:
        assert operation in GUIDE


def test_the_columns_of_the_library_are_those_it_asks_for() -> None:
    for name, entry in library_templates().items():
        line = next(line for line in GUIDE.splitlines() if f"`{name}`" in line and "|" in line)
        columns = str(entry["about"]).rsplit("columns ", 1)[1].split(", ")
        assert line.rstrip(" |").endswith(", ".join(f"`{column}`" for column in columns))


def test_numbers_in_the_guide_are_the_program_s() -> None:
    assert f"at most {MOST_STEPS} steps" in GUIDE
    assert f"a batch of up to {_BATCH} items" in GUIDE
    assert _PATIENCE == 3
    assert "after three in a\nrow" in GUIDE
    allowed = Tolerance()
    assert allowed.coverage == allowed.accuracy == allowed.conflict == 0.02
    assert "by more than 0.02" in GUIDE
    assert PythonFunction.__dataclass_fields__["timeout_s"].default == 5.0


def test_the_expression_with_a_date_is_one() -> None:
    when = "weekday(at) in (5, 6) and amount > 3 * median_amount"
    assert f"`{when}`" in " ".join(GUIDE.split())
    function = ExpressionFunction(
        id="e", owner="ann", class_name="b", when=when,
        contract=(("at", FieldContract(type="date")),),
    )  # fmt: skip
    fields = ("at", "amount", "median_amount")
    saturday = 1717200000.0
    items = Items(rows=np.array([[saturday, 31, 10], [saturday, 30, 10]]), names=fields)
    ready = compile_functions([function], TabularInput(fields=fields), ("a", "b"))
    assert ready.vote(items)[:, 0].tolist() == [1, -1]
    assert parse_expression("1 < x <= 3").operator == "and"
