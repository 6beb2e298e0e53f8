"""The page on drift: its examples run, and its settings are those there are."""

import doctest
import re
import tomllib
from pathlib import Path

from coordinator.settings import CampaignSettings
from fieldvote.settings import parse_settings

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "drift.md"
TEXT = GUIDE.read_text("utf-8")


def test_the_examples_of_the_page_run() -> None:
    found = doctest.testfile(str(GUIDE), module_relative=False)
    assert found.attempted >= 6
    assert not found.failed


def test_the_settings_of_the_page_are_read_and_say_what_the_defaults_are_named() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    table = tomllib.loads("\n".join(blocks))["campaign"]
    read = parse_settings({"name": "a", **table}, CampaignSettings, "the page")
    assert read.drift.watch
    assert read.stop.when_spent
    assert read.allocation.classes[0].name == "spam"
    for name in ("drift", "gain", "stop", "capacity", "allocation"):
        missing = set(getattr(read, name).__slots__) - set(table[name])
        assert not missing, (name, missing)
