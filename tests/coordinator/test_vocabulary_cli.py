"""`fieldvote vocabulary` as a task's owner runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.vocabulary_cli import app
from edge.redaction import redaction_of
from fieldvote.cli import explain
from fieldvote.errors import InputError, StoreError
from privacy.pii import Vocabulary, build_vocabulary
from tests.doubles.tasks import task_of, text_files

WORDS = ["Rechnung", "Rechnungen", "bezahlt", "grün", "Zuse", "oberhuber"]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS) + "\n", "utf-8")
    return path


def run(*arguments: object) -> str:
    """Run the command to its end; an error of ours is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_what_is_built_is_what_the_library_builds_and_says_how_to_use_it(words: Path) -> None:
    out = words.with_name("de.vocabulary")
    said = run("build", words, "--locale", "de", "--out", out)
    assert out.read_bytes() == build_vocabulary(WORDS, locale="de")
    assert Vocabulary.from_bytes(out.read_bytes()).digest in said
    files = text_files()
    policy = "\n".join(said.split("policy.toml:\n")[1].splitlines())
    files["policy.toml"] += policy.encode()
    task = task_of({**files, out.name: out.read_bytes()})
    redactor, _ = redaction_of(task)
    assert redactor.redact("Die Rechnung ist bezahlt, Frau Zuse.").text.startswith(
        "Die Rechnung ist bezahlt, "
    )
    assert "Zuse" not in redactor.redact("Die Rechnung ist bezahlt, Frau Zuse.").text


def test_the_same_list_in_any_order_gives_the_same_file(words: Path) -> None:
    one, other = words.with_name("one"), words.with_name("other")
    run("build", words, "--locale", "de", "--out", one)
    words.write_text("\n".join(reversed(WORDS)), "utf-8")
    run("build", words, "--locale", "de", "--out", other)
    assert one.read_bytes() == other.read_bytes()


def test_names_never_leave_and_first_names_vouch(words: Path) -> None:
    names, first, out = (words.with_name(name) for name in ("names", "first", "out"))
    names.write_text("Oberhuber\n", "utf-8")
    first.write_text("Eva\n", "utf-8")
    run(
        "build", words, "--locale", "de", "--out", out,
        "--names", names, "--first-names", first,
    )  # fmt: skip
    vocabulary = Vocabulary.from_bytes(out.read_bytes())
    assert "oberhuber" not in vocabulary
    assert "eva" not in vocabulary
    assert "oberhuber" in Vocabulary.from_bytes(build_vocabulary(WORDS, locale="de"))


def test_a_language_of_ones_own_comes_with_its_own_lists(words: Path) -> None:
    lists, out = words.with_name("nl.lists"), words.with_name("nl")
    lists.write_text("[functions f]\nde het een\n", "utf-8")
    run("build", words, "--locale", "nl", "--out", out, "--lists", lists)
    assert Vocabulary.from_bytes(out.read_bytes()).locale == "nl"


def test_show_tells_what_build_told(words: Path) -> None:
    out = words.with_name("de.vocabulary")
    built = json.loads(run("build", words, "--locale", "de", "--out", out, "--json"))
    assert json.loads(run("show", out, "--json")) == built
    assert built["locale"] == "de"
    assert built["size_bytes"] == out.stat().st_size
    assert str(built["words"]) in run("show", out)


@pytest.mark.parametrize(
    ("locale", "content", "complaint"),
    [
        ("nl", b"huis\n", "no closed word lists for locale 'nl'"),
        ("deutsch", b"Haus\n", "two or three letters"),
        ("de", b"\n\n", "needs a list of words"),
        ("de", "grün".encode("latin-1"), r"not UTF-8 at byte 2; 'iconv"),
    ],
)
def test_a_list_that_is_none_is_refused_and_nothing_is_written(
    words: Path, locale: str, content: bytes, complaint: str
) -> None:
    words.write_bytes(content)
    out = words.with_name("out")
    with pytest.raises(InputError, match=complaint):
        run("build", words, "--locale", locale, "--out", out)
    assert sorted(path.name for path in words.parent.iterdir()) == ["words.txt"]


def test_a_file_that_is_not_there_or_cannot_be_written_is_said(words: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        run("build", words.with_name("absent"), "--locale", "de", "--out", words)
    with pytest.raises(StoreError, match="cannot be written"):
        run("build", words, "--locale", "de", "--out", words / "below")
    with pytest.raises(InputError, match="cannot be read"):
        run("show", words.with_name("absent"))
    with pytest.raises(InputError, match="not a vocabulary") as caught:
        run("show", words)
    assert explain(caught.value).exit_code == 2
