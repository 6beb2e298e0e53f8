import doctest
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "redaction.md"


def test_the_guide_says_what_the_code_does():
    result = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 10


def test_the_guide_names_every_kind_there_is():
    from privacy.pii.spans import KINDS

    text = GUIDE.read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in text] == []
