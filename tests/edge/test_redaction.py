"""What a policy says about redaction happens at the door; what cannot be redacted is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.items import text_payload
from edge.outbox import Outbox
from edge.pool import Pool
from edge.redaction import redaction_of
from edge.tagger import OVERLAP, PIECE, OnnxTagger
from edge.trust import Trust
from fieldvote.bundle import Bundle, unpack
from fieldvote.errors import LeakError, SettingsError, SignatureError, TaskError
from fieldvote.rights import Rights
from fieldvote.task import Task
from privacy.pii import Span, Vocabulary, build_vocabulary
from tests.doubles.agents import Device, build_device
from tests.doubles.owner import NOW_S, OWNER
from tests.doubles.tasks import tabular_files, task_of, text_files, write_task
from tests.edge.taggers import broken_tagger, nan_tagger, phrase_tagger

GERMAN = build_vocabulary(
    ["Rechnung", "Rechnungen", "bezahlt", "grün", "wir", "haben"], locale="de", first_names=["eva"]
)
ORG = "lending club"
SAID = f"we asked {ORG} about it"


def task_with(candidates: str, **files: bytes) -> Task:
    """Return a text task whose policy says this of candidates, with further files."""
    made = text_files()
    made["policy.toml"] += f"\n[candidates]\n{candidates}\n".encode()
    return task_of({**made, **{name.replace("_", "."): held for name, held in files.items()}})


def device_with(candidates: str, texts: list[str], **files: bytes) -> Device:
    return build_device(task_with(candidates, **files), [text_payload(text) for text in texts])


def masked(outbox: Outbox, text: str) -> str:
    return outbox.mask(bytes(16), text_payload(text)).text


# modes


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("strict", "we sent [NUMBER_1] pages to [MASKED_1] office, for [NAME_1] or [PERSON_1]"),
        ("high", "we sent 12 pages to teh office, for [NAME_1] or [PERSON_1]"),
        ("balanced", "we sent 12 pages to teh office, for Zuckerberg or [PERSON_1]"),
    ],
)
def test_the_policys_mode_is_what_masks(mode: str, expected: str) -> None:
    text = "we sent 12 pages to teh office, for Zuckerberg or Ann Bell"
    device = device_with(f'redaction = "{mode}"', [text])
    assert masked(device.outbox, text) == expected


def test_strict_is_what_a_policy_without_a_word_means() -> None:
    assert redaction_of(task_of(text_files()))[0].mode == "strict"


class Everything:
    """A redactor that has been tampered with."""

    def redact(self, text: str) -> "Everything":
        self.text, self.spans = text, ()
        return self


LEAKS = {
    "ask Zuckerberg": {"strict": True, "high": False, "balanced": False},
    "mail ann.bell@example.org": {"strict": True, "high": True, "balanced": True},
    "pay 4111 1111 1111 1111 now": {"strict": True, "high": True, "balanced": True},
    "see https://example.org/ann": {"strict": True, "high": True, "balanced": True},
    "we will see": {"strict": False, "high": False, "balanced": False},
}


@pytest.mark.parametrize("mode", ["strict", "high", "balanced"])
@pytest.mark.parametrize("text", list(LEAKS))
def test_each_mode_is_scanned_by_what_can_be_asked_of_it(mode: str, text: str) -> None:
    device = device_with(f'redaction = "{mode}"', [text])
    device.outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
    if LEAKS[text][mode]:
        with pytest.raises(LeakError, match="the second scan found"):
            masked(device.outbox, text)
    else:
        assert masked(device.outbox, text) == text
    assert device.outbox.incidents["second_scan"] == int(LEAKS[text][mode])


# languages


def test_a_task_brings_the_words_of_its_language() -> None:
    said = 'locales = ["de"]\nvocabularies = { de = "de.words" }'
    task = task_with(said, de_words=GERMAN)
    assert redaction_of(task)[1].digest == Vocabulary.from_bytes(GERMAN).digest
    device = build_device(task, [text_payload("x")])
    assert masked(device.outbox, "Die Rechnung von Frau Oberhuber ist bezahlt.") == (
        "Die Rechnung von [PERSON_1] ist bezahlt."
    )
    # its own words are what the second scan knows as well
    device.outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
    assert masked(device.outbox, "wir haben die Rechnung bezahlt") != ""
    with pytest.raises(LeakError):
        masked(device.outbox, "we have paid the invoice")


def test_a_task_may_bring_other_english_words_than_the_programs() -> None:
    few = build_vocabulary(["hello", "world"], locale="en", lists="[functions f]\nthe\n")
    task = task_with('vocabularies = { en = "few.words" }', few_words=few)
    device = build_device(task, [text_payload("x")])
    assert masked(device.outbox, "hello the office") == "hello the [MASKED_1]"


@pytest.mark.parametrize(
    ("said", "files", "complaint"),
    [
        ('locales = ["nl"]', {}, "no vocabulary for locale 'nl'"),
        ('locales = ["de"]', {}, "no vocabulary for locale 'de'"),
        ('locales = ["en", "de"]', {}, "one language"),
        ('locales = ["fr"]\nvocabularies = { fr = "x.words" }', {"x_words": GERMAN}, "is one for"),
        ('vocabularies = { en = "x.words" }', {"x_words": b"the\nand\n"}, "not a vocabulary"),
        ('vocabularies = { en = "x.words" }', {"x_words": b""}, "not a vocabulary"),
        (
            'tagger = { file = "t.onnx", kinds = ["PERSON"] }',
            {"t_onnx": b"no model"},
            "'t.onnx'",
        ),
        (
            'tagger = { file = "t.onnx", kinds = ["WIZARD"] }',
            {"t_onnx": phrase_tagger("x")},
            "no kind 'WIZARD'",
        ),
    ],
)
def test_what_cannot_be_redacted_is_refused_before_an_item_is_read(
    said: str, files: dict[str, bytes], complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        redaction_of(task_with(said, **files))


@pytest.mark.parametrize(
    ("said", "files", "complaint"),
    [
        ('vocabularies = { en = "x.words" }', {}, "'x.words' is missing"),
        ("", {"x_words": GERMAN}, "'x.words' is no file of this task"),
        ('vocabularies = { en = "model.onnx" }', {}, "another file of this task"),
        ('vocabularies = { en = "../x" }', {}, "a file name in the task folder"),
        ('vocabularies = { de = "x.words" }', {"x_words": GERMAN}, "not one of the locales"),
        ('tagger = { file = "t.onnx", kinds = [] }', {}, "at least 1"),
        (
            'vocabularies = { en = "x" }\ntagger = { file = "x", kinds = ["ORG"] }',
            {"x": GERMAN},
            "stands there twice",
        ),
        ("fields = { age = { kind = 'age' } }", {}, "a text has no fields"),
        ('redaction = "strcit"', {}, "did you mean 'strict'"),
        ('unmarked = "yes"', {}, "unknown word 'yes'"),
    ],
)
def test_a_policy_that_contradicts_its_task_is_refused(
    said: str, files: dict[str, bytes], complaint: str
) -> None:
    with pytest.raises((TaskError, SettingsError), match=complaint):
        task_with(said, **files)


def test_a_row_has_no_vocabulary_and_its_rules_name_its_own_fields() -> None:
    files = tabular_files()
    good = b'[candidates.fields]\nheat = { kind = "decimals", decimals = 1 }\n'
    assert task_of({**files, "policy.toml": good}).policy.candidates.fields[0][0] == "heat"
    for said, complaint in (
        (b'[candidates.fields]\nhaet = { kind = "keep" }', "did you mean 'heat'"),
        (b'[candidates]\nkeep = { age = 1 }\nfields = { age = { kind = "age" } }', "one rule"),
        (b'[candidates]\nfields = { age = { kind = "aged" } }', "did you mean 'age'"),
        (b'[candidates]\nfields = { age = { kind = "age", wide = 5 } }', "unknown key"),
        (b'[candidates]\nvocabularies = { en = "w" }', "has no vocabulary and no tagger"),
    ):
        with pytest.raises((TaskError, SettingsError), match=complaint):
            task_of({**files, "policy.toml": said})


# what is signed


@pytest.mark.parametrize("changed", [None, "de.words", "t.onnx", "policy.toml"])
def test_the_words_and_the_tagger_are_signed_with_the_task_and_travel_with_it(
    changed: str | None, tmp_path: Path
) -> None:
    """The attack: other words allowed out, or a tagger that sees nothing, after the signature."""
    said = 'locales = ["de"]\nvocabularies = { de = "de.words" }\n'
    said += 'tagger = { file = "t.onnx", kinds = ["ORG"] }'
    files = text_files()
    files["policy.toml"] += f"\n[candidates]\n{said}\n".encode()
    files |= {"de.words": GERMAN, "t.onnx": phrase_tagger(ORG)}
    folder = write_task(tmp_path / "task", files)
    OWNER.sign_task(folder, 1)
    bundle = Bundle.load(folder)
    assert bundle is not None
    assert set(files) < set(unpack(bundle.content))
    other = {
        "de.words": build_vocabulary(["Rechnung", "Zbigniew"], locale="de"),
        "t.onnx": phrase_tagger("nobody"),
        "policy.toml": files["policy.toml"].replace(b"tagger", b"# tagger"),
    }
    pool = Pool(None)
    trust = Trust(pool, OWNER.roots[0], lambda: NOW_S)
    if changed is None:
        assert trust.installed(folder).task.tagger == files["t.onnx"]
    else:
        (folder / changed).write_bytes(other[changed])
        with pytest.raises((SignatureError, TaskError)):
            trust.installed(folder)
    pool.close()


# the tagger


def tagged_device(model: bytes) -> Device:
    said = 'tagger = { file = "t.onnx", kinds = ["ORG"] }'
    return device_with(said, [SAID], t_onnx=model)


def test_a_tagger_masks_what_words_alone_could_not_tell() -> None:
    assert masked(build_device(task_of(text_files()), [b"x"]).outbox, SAID) == SAID
    assert masked(tagged_device(phrase_tagger(ORG)).outbox, SAID) == "we asked [ORG_1] about it"


TAGGER = OnnxTagger(phrase_tagger(ORG), ["ORG"])
PLAIN = redaction_of(task_of(text_files()))[0]
TAGGED = redaction_of(
    task_with('tagger = { file = "t.onnx", kinds = ["ORG"] }', t_onnx=phrase_tagger(ORG))
)[0]


@given(
    st.lists(
        st.sampled_from(
            [
                ORG,
                "Ann Bell",
                "we",
                "said",
                "12",
                "a@b.example",
                "\U0001f600",
                "Ünal",
                "\ud800",
                ",",
            ]
        ),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=150)
def test_a_tagger_uncovers_no_character_and_covers_its_own(words: list[str]) -> None:
    text = " ".join(words)
    covered = {i for start, end, _ in PLAIN.redact(text).spans for i in range(start, end)}
    more = {i for start, end, _ in TAGGED.redact(text).spans for i in range(start, end)}
    said = {i for start, end, _ in TAGGER(text) for i in range(start, end) if text[i].isalnum()}
    assert covered | said <= more
    assert len(said) == text.count(ORG) * (len(ORG) - 1)


@pytest.mark.parametrize("start", [0, PIECE - OVERLAP - 6, PIECE - 6, PIECE, 3 * PIECE - 5])
def test_a_long_text_is_read_whole(start: int) -> None:
    text = "x" * start + ORG + "x" * (4 * PIECE - start)
    covered = {i for first, end, _ in TAGGER(text) for i in range(first, end)}
    assert covered == set(range(start, start + len(ORG)))


def test_an_empty_text_has_nothing_to_tag() -> None:
    assert TAGGER("") == []
    assert TAGGER(ORG) == [Span(0, len(ORG), "ORG")]


@pytest.mark.parametrize("model", [broken_tagger(), nan_tagger(), phrase_tagger(ORG, kinds=2)])
def test_an_item_whose_tagger_fails_stays_and_is_counted_and_told_to_nobody(model: bytes) -> None:
    device = tagged_device(model)
    sealed = device.outbox.ship(bytes(16), text_payload(SAID), rights=Rights.SHIP)
    assert (sealed.envelope, sealed.refusal) == (b"", "LeakError")
    assert device.outbox.incidents["masking"] == 1
    with pytest.raises(LeakError, match=r"cannot be masked \(TaskError\)") as caught:
        masked(device.outbox, SAID)
    assert ORG not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("model", "complaint"),
    [(text_files()["model.onnx"], "no input 'text'"), (b"", "is not a model")],
)
def test_a_model_that_is_no_tagger_is_refused(model: bytes, complaint: str) -> None:
    with pytest.raises(TaskError, match=complaint):
        OnnxTagger(model, ["ORG"])
