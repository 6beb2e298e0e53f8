"""The page a privacy officer reads says what the code does, and leaves nothing out."""

import doctest
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from edge.incidents import STAGES
from fieldvote.field_rules import FieldRule
from fieldvote.policy import Limits, Policy, RedactionMode
from fieldvote.portions import PORTION_KINDS
from fieldvote.rights import Rights
from fieldvote.settings import parse_settings, parse_toml

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide" / "door.md"
TEXT = GUIDE.read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_examples_say_what_the_code_does() -> None:
    result = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted >= 7


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_every_policy_on_the_page_is_one(block: int) -> None:
    policy = parse_settings(parse_toml(BLOCKS[block].encode(), "door.md"), Policy, "door.md")
    assert policy != Policy()


def test_the_page_names_every_rule_right_mode_kind_and_count() -> None:
    rules = re.findall(r'kind = "(\w+)"', TEXT)
    assert {get_args(get_type_hints(rule)["kind"])[0] for rule in get_args(FieldRule)} == set(rules)
    for name in (
        *(f"`{each.value}`" for each in Rights),
        *(f'"{each.value}"' for each in RedactionMode),
        *(f"`{kind}`" for kind in PORTION_KINDS),
        *(f"`stopped {stage.replace('_', ' ')}`" for stage in STAGES),
        *(f"{name} =" for name in Limits.__dataclass_fields__),
    ):
        assert name in TEXT, name


def test_every_file_the_page_points_to_is_there() -> None:
    names = re.findall(r"`([\w/]+\.py)`", TEXT)
    assert len(names) >= 7
    assert [name for name in names if not (ROOT / name).is_file()] == []
    pages = re.findall(r"`(\w+\.md)`", TEXT)
    assert [page for page in pages if not (GUIDE.parent / page).is_file()] == []
