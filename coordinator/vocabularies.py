"""What `fieldvote vocabulary` does between parsing and printing: lists in, one file out."""

from dataclasses import dataclass
from pathlib import Path

from fieldvote.durable import FOR_ALL, read_whole, write_over
from fieldvote.errors import InputError
from privacy.pii import Vocabulary, build_vocabulary

LARGEST_LIST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Files a vocabulary is made from, each UTF-8 with one word a line.

    Attributes:
        words: The language's words as a dictionary lists them.
        names: Surnames and places; none of them leaves.
        first_names: Words that vouch for the name after them; those of the English vocabulary
            where none are given.
        lists: Closed lists, as `privacy/pii/vocabularies/de.lists`; those shipped for the language
            where none are given.
    """

    words: Path
    names: tuple[Path, ...] = ()
    first_names: Path | None = None
    lists: Path | None = None


def build_file(sources: Sources, *, locale: str, out: Path) -> dict[str, str | int]:
    """Write the vocabulary made from these lists, whole or not at all; say what is in it.

    Raises:
        InputError: a list cannot be read, holds no word, or the language has no closed lists.
        StoreError: the file cannot be written.
    """
    first_names = sources.first_names
    content = build_vocabulary(
        _lines(sources.words),
        locale=locale,
        lists=None if sources.lists is None else _text(sources.lists),
        names=[name for path in sources.names for name in _lines(path)],
        first_names=None if first_names is None else _lines(first_names),
    )
    said = _described(content)
    write_over(out, content, mode=FOR_ALL)
    return {"file": str(out), **said}


def describe_file(path: Path) -> dict[str, str | int]:
    """Say what a vocabulary is for, and how much it lets out.

    Raises:
        InputError: the file cannot be read, or is no vocabulary.
    """
    content = read_whole(path)
    try:
        return {"file": str(path), **_described(content)}
    except InputError as err:
        raise InputError(f"{path}: {err}") from err


def _described(content: bytes) -> dict[str, str | int]:
    """Return what is told of a vocabulary."""
    vocabulary = Vocabulary.from_bytes(content)
    words = sum(word in vocabulary for word in vocabulary.words)
    return {
        "locale": vocabulary.locale,
        "words": words,
        "size_bytes": len(content),
        "digest": vocabulary.digest,
    }


def _lines(path: Path) -> list[str]:
    """Return the words of a list."""
    return _text(path).split("\n")


def _text(path: Path) -> str:
    """Read a list."""
    try:
        if path.stat().st_size > LARGEST_LIST_BYTES:
            raise InputError(f"{path}: larger than {LARGEST_LIST_BYTES} bytes is no word list")
        return path.read_bytes().decode("utf-8")
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror or err})") from err
    except UnicodeDecodeError as err:
        raise InputError(
            f"{path}: not UTF-8 at byte {err.start}; 'iconv -f latin1 -t utf-8' may help"
        ) from err
