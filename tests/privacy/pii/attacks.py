"""Ways to write a text so that a reader sees what a machine may not."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CYRILLIC = str.maketrans("aeopcyxisABEKMHOPCTX", "аеорсухіѕАВЕКМНОРСТХ")
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def digits_as_words(text: str) -> str:
    """Write each digit as its word."""
    return " ".join(
        "".join(f" {_DIGITS[int(c)]} " if c in "0123456789" else c for c in text).split()
    )


def spaced(text: str) -> str:
    """Set a blank between all characters."""
    return " ".join(char for char in text if not char.isspace())


ATTACKS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "zero-width": "\u200b".join,
        "soft hyphens": "\u00ad".join,
        "homoglyphs": lambda text: text.translate(_CYRILLIC),
        "full-width": lambda text: text.translate(_FULL_WIDTH),
        "combining dots": lambda text: "".join(c + "\u0323" if c.isalnum() else c for c in text),
        "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
        "leetspeak": lambda text: text.translate(_LEET),
        "spaced characters": spaced,
        "digits as words": digits_as_words,
        "lower-case": str.lower,
        "upper-case": str.upper,
    }
)
