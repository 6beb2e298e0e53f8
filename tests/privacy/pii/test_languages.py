from pathlib import Path

import numpy as np
import pytest

from fieldvote.errors import InputError
from privacy.pii import Redactor, Vocabulary, build_vocabulary, second_scan
from tests.privacy.pii.languages import LANGUAGES, Language

DICTIONARIES = Path("/usr/share/dict")
# Words that are in no list: what the small vocabulary below must not hold.
PERSONAL = {
    word.strip(".,").lower()
    for language in LANGUAGES.values()
    for group in (language.first, language.last, language.city, language.company)
    for value in group
    for word in value.split()
}


def small_list(language: Language) -> list[str]:
    """Return the words of the templates, as a dictionary would list them."""
    words = " ".join(language.templates).replace("'", " ").replace("{", " {").split()
    plain = [word.strip(".,?!:¿¡") for word in words if not word.startswith("{")]
    return [word for word in plain if word and word.lower() not in PERSONAL] + ["Rechnungen"]


def debian_list(language: Language) -> list[str]:
    """Return Debian's word list, or skip."""
    name, package = language.dictionary
    path = DICTIONARIES / name
    if not path.is_file():
        pytest.skip(f"{path} is not here: apt-get install {package}")
    return path.read_text("utf-8").split()


def measured(locale: str, vocabulary: Vocabulary, mode: str, count: int) -> tuple[float, float]:
    """Return the share of spans wholly covered, and of clean characters lost."""
    redactor = Redactor(mode=mode, locales=(locale,), vocabulary=vocabulary)
    rng = np.random.default_rng(7)
    messages = [LANGUAGES[locale].message(rng) for _ in range(count)]
    covered, clean, lost = [], 0, 0
    redacted = redactor.redact_batch([text for text, _ in messages])
    for (text, spans), redaction in zip(messages, redacted, strict=True):
        masked = {i for start, end, _ in redaction.spans for i in range(start, end)}
        letters = {i for i, char in enumerate(text) if char.isalnum()}
        gold = {i for start, end, _ in spans for i in range(start, end)}
        covered += [letters & set(range(start, end)) <= masked for start, end, _ in spans]
        clean += len(letters - gold)
        lost += len((letters - gold) & masked)
        if mode == "strict":
            assert second_scan(redaction.text, vocabulary) == ()
    return float(np.mean(covered)), lost / clean


@pytest.mark.parametrize("locale", LANGUAGES)
def test_a_vocabulary_from_a_small_list_covers_what_is_personal(locale: str) -> None:
    vocabulary = Vocabulary.from_bytes(
        build_vocabulary(small_list(LANGUAGES[locale]), locale=locale)
    )
    covered, _ = measured(locale, vocabulary, "strict", 400)
    assert covered == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("locale", LANGUAGES)
def test_a_vocabulary_from_debians_list_covers_and_keeps_enough(locale: str) -> None:
    words = debian_list(LANGUAGES[locale])
    vocabulary = Vocabulary.from_bytes(build_vocabulary(words, locale=locale))
    covered, lost = measured(locale, vocabulary, "strict", 400)
    assert covered >= 0.995
    assert lost <= 0.12
    covered, lost = measured(locale, vocabulary, "high", 400)
    assert covered >= 0.97
    assert lost <= 0.12


@pytest.mark.parametrize("locale", LANGUAGES)
def test_another_languages_text_is_masked_not_passed(locale: str) -> None:
    """An English redactor given German loses the text; it does not leak the names in it."""
    redactor = Redactor()
    rng = np.random.default_rng(3)
    for _ in range(100):
        text, _ = LANGUAGES[locale].message(rng)
        assert second_scan(redactor.redact(text).text, redactor.vocabulary) == ()


def test_the_same_list_in_any_order_gives_the_same_bytes() -> None:
    words = small_list(LANGUAGES["de"])
    first = build_vocabulary(words, locale="de")
    assert build_vocabulary(reversed(words), locale="de") == first
    assert build_vocabulary([*words, "Zebra", "Zebras", "Zebraen"], locale="de") != first


def test_given_names_leave_in_no_case() -> None:
    content = build_vocabulary(["lago", "vega", "vino"], locale="es", names=["Vega"])
    vocabulary = Vocabulary.from_bytes(content)
    assert "vino" in vocabulary
    assert "vega" not in vocabulary
    redactor = Redactor(locales=("es",), vocabulary=vocabulary)
    assert redactor.redact("el vino con vega").text == "el vino con [MASKED_1]"


def test_a_letter_of_another_script_is_never_at_home() -> None:
    content = build_vocabulary(["été", "p\u0430in", "pain"], locale="fr")
    vocabulary = Vocabulary.from_bytes(content)
    assert "p\u0430in" not in vocabulary
    redactor = Redactor(locales=("fr",), vocabulary=vocabulary)
    assert redactor.redact("mon p\u0430in pour été").text == "mon [MASKED_1] pour été"
    with pytest.raises(InputError):
        Vocabulary.from_bytes("fieldvote vocabulary 1 fr\nwC p\u0430in\n".encode())


@pytest.mark.parametrize("locale", ["nl", "DE", "", "../en", "deutsch"])
def test_a_language_without_closed_lists_fails_closed(locale: str) -> None:
    with pytest.raises(InputError):
        build_vocabulary(["huis"], locale=locale)


@pytest.mark.parametrize("words", [[], [""], ["42", "a b", "ПРИВЕТ"]])
def test_a_list_without_words_is_refused(words: list[str]) -> None:
    with pytest.raises(InputError):
        build_vocabulary(words, locale="de")


def test_a_vocabulary_serves_its_own_language_only() -> None:
    vocabulary = Vocabulary.from_bytes(build_vocabulary(["haus"], locale="de"))
    with pytest.raises(InputError):
        Redactor(locales=("en",), vocabulary=vocabulary)
    with pytest.raises(InputError):
        Redactor(locales=("de",))
