"""Redaction: how much personal data is covered, how much clean text is lost, how fast.

    python tests/benchmarks/redaction.py [--peers] [--quick] [--json]

Coverage is measured on presidio-research's generated sentences, on the templates that were held out
while the rules were written (hash of the template's number); a span counts if each of its letters
and digits is masked. Times are CPU seconds of one thread, the best of several runs. Data: the
folder FIELDVOTE_DATA names.
"""

import json
import logging
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only

from fieldvote.errors import MissingDataError
from privacy.pii import Redactor
from tests.privacy.pii.attacks import ATTACKS

STRUCTURED = """CREDIT_CARD PHONE_NUMBER DATE_TIME EMAIL_ADDRESS US_SSN IBAN_CODE DOMAIN_NAME
    US_DRIVER_LICENSE IP_ADDRESS"""
GROUPS = dict.fromkeys(STRUCTURED.split(), "structured")
GROUPS |= {"PERSON": "PERSON", "ADDRESS": "ADDRESS", "ORGANIZATION": "ORG"}
GROUPS |= {"PER": "PERSON", "person": "PERSON", "corporation": "ORG", "group": "ORG"}
GROUPS |= {"ORG": "ORG"}
TARGETS = {"structured": 0.995, "PERSON": 0.995, "ADDRESS": 0.99, "ORG": 0.98}
ATTACK_TARGETS = {
    "zero-width": 1.0,
    "homoglyphs": 1.0,
    "full-width": 1.0,
    "leetspeak": 1.0,
    "spaced characters": 0.95,
    "digits as words": 0.95,
    "lower-case": 0.95,
}
# A title is a word of its own, Dr and Mr say nothing about anyone.
IGNORED = frozenset(("TITLE", "PREFIX"))
HELD_OUT_TENTHS = 3

Detect = Callable[[Sequence[str]], list[list[tuple[int, int]]]]


@dataclass(frozen=True, slots=True)
class Document:
    """A sentence, its gold spans, and whether its template was held out."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    held_out: bool


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    repeats, peers = 2 if options.quick else 9, options.peers
    documents, messages = read_sentences(), read_messages()
    held_out = [document for document in documents if document.held_out]
    texts = [document.text for document in documents]
    rows = []
    redactor = Redactor()
    ours = detect_with(redactor)
    peer = presidio() if peers else None
    strict = coverage(held_out, ours)
    theirs = coverage(held_out, peer) if peer else None
    for group, target in TARGETS.items():
        rows.append(
            _row(
                f"{group}, spans wholly covered, held-out",
                strict.covered[group],
                "share",
                theirs.covered.get(group) if theirs else None,
                at_least=target,
            )
        )
    rows.append(
        _row(
            "clean text lost, held-out",
            strict.lost,
            "share",
            theirs.lost if theirs else None,
            at_most=0.12,
        )
    )
    for mode in ("balanced", "high"):
        detect = detect_with(Redactor(mode=mode))
        rows.append(
            _row(
                f"character F2, {mode}, held-out",
                coverage(held_out, detect).f2,
                "share",
                theirs.f2 if theirs else None,
                at_least=0.9 if mode == "high" else None,
            )
        )
    tweets = coverage([tweet for tweet in read_tweets() if tweet.held_out], ours)
    rows.append(
        _row("tweets, PERSON wholly covered", tweets.covered["PERSON"], "share", at_least=0.98)
    )
    rows.append(_row("tweets, ORG wholly covered", tweets.covered["ORG"], "share"))
    rows += [
        _row(
            f"rewritten spans covered: {name}", attacked(held_out, name, ours), "share", at_least=t
        )
        for name, t in ATTACK_TARGETS.items()
    ]
    message_spans = ours(messages)
    rows.append(_row("text messages, characters lost", _share(messages, message_spans), "share"))
    size = sum(map(len, texts)) / 1e6
    peer_speed = None
    if peer:
        sample = texts[:200]
        peer_speed = sum(map(len, sample)) / 1e6 / _best(lambda: peer(sample), 1)
    warm = size / _best(lambda: redactor.redact_batch(texts), repeats)
    cold = size / min(_cold(texts) for _ in range(repeats))
    single = size / _best(lambda: [redactor.redact(text) for text in texts], repeats)
    rows.append(_row("speed, warm batch", warm, "M chars/s", peer_speed, at_least=4.0))
    rows.append(_row("speed, cold cache", cold, "M chars/s", peer_speed, at_least=3.0))
    rows.append(_row("speed, one text a call", single, "M chars/s", peer_speed))
    return rows


def read_sentences() -> list[Document]:
    """Read presidio-research's generated sentences."""
    rows = json.loads((_data() / "pii" / "presidio_generated_large.json").read_text("utf-8"))
    return [
        Document(
            row["full_text"],
            tuple((s["start_position"], s["end_position"], s["entity_type"]) for s in row["spans"]),
            zlib.crc32(str(row["template_id"]).encode()) % 10 >= 10 - HELD_OUT_TENTHS,
        )
        for row in rows
    ]


def read_messages() -> list[str]:
    """Read the SMS Spam Collection."""
    with np.load(_data() / "sms_spam.npz") as archive:
        return bytes(archive["utf8"]).decode("utf-8").split("\n")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much a detector covers.

    Attributes:
        covered: Group -> share of its spans that are wholly covered.
        lost: Share of the letters and digits outside all spans that are covered.
        f2: F measure over letters and digits, recall weighing twice as much.
    """

    covered: dict[str, float]
    lost: float
    f2: float


def read_tweets() -> list[Document]:
    """Read the tweets of WNUT 17 and the Broad Twitter Corpus; one in three tenths is held out."""
    tweets = []
    for name in ("wnut17_train", "btc_a", "btc_b"):
        text, spans = "", list[tuple[int, int, str]]()
        lines = (_data() / "pii" / f"{name}.conll").read_text("utf-8").splitlines()
        for line in [*lines, ""]:
            if line.strip():
                word, _, tag = line.partition("\t")
                text += " " * bool(text) + word
                if tag.startswith("B-"):
                    spans.append((len(text) - len(word), len(text), tag[2:]))
                elif tag.startswith("I-") and spans:
                    spans[-1] = (spans[-1][0], len(text), spans[-1][2])
            elif text:
                held_out = zlib.crc32(text.encode()) % 10 >= 10 - HELD_OUT_TENTHS
                tweets.append(Document(text, tuple(spans), held_out))
                text, spans = "", []
    return tweets


def attacked(documents: Sequence[Document], name: str, detect: Detect) -> float:
    """Return the share of spans still wholly covered after being rewritten."""
    rewritten = []
    for document in documents:
        text, last, spans = "", 0, []
        for start, end, kind in sorted(document.spans):
            value = document.text[start:end]
            if start < last or kind in IGNORED or ATTACKS[name](value) == value:
                continue
            text += document.text[last:start]
            spans.append((len(text), len(text) + len(ATTACKS[name](value)), "all"))
            text += ATTACKS[name](value)
            last = end
        rewritten.append(Document(text + document.text[last:], tuple(spans), True))
    return coverage(rewritten, detect).covered["other"]


def detect_with(redactor: Redactor) -> Detect:
    """Return what a redactor masks, without kinds."""
    return lambda batch: [
        [(start, end) for start, end, _ in done.spans] for done in redactor.redact_batch(batch)
    ]


def coverage(documents: Sequence[Document], detect: Detect) -> Coverage:
    """Return how much of the gold spans is covered, and of what is clean."""
    hits: dict[str, list[bool]] = {}
    inside = found_inside = clean = lost = 0
    for document, found in zip(documents, detect([d.text for d in documents]), strict=True):
        masked = {i for start, end in found for i in range(start, end)}
        letters = {i for i, char in enumerate(document.text) if char.isalnum()}
        gold: set[int] = set()
        for start, end, kind in document.spans:
            wanted = letters & set(range(start, end))
            gold |= wanted
            hits.setdefault(GROUPS.get(kind, "other"), []).append(wanted <= masked)
        inside += len(gold)
        found_inside += len(gold & masked)
        clean += len(letters - gold)
        lost += len((letters - gold) & masked)
    precision = found_inside / max(found_inside + lost, 1)
    recall = found_inside / max(inside, 1)
    f2 = 5 * precision * recall / max(4 * precision + recall, 1e-9)
    return Coverage({k: sum(v) / len(v) for k, v in hits.items()}, lost / max(clean, 1), f2)


def presidio() -> Detect | None:
    """Return Presidio's pattern recognisers, the part that needs no model; None if not here."""
    try:
        from presidio_analyzer import PatternRecognizer, RecognizerRegistry
    except ImportError:
        print("presidio_analyzer is not importable here: its column stays empty", file=sys.stderr)
        return None
    # It tries to fetch a list of domain endings, then uses the one it has; offline is no error.
    logging.getLogger("tldextract").setLevel(logging.CRITICAL)
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers()
    patterns = [each for each in registry.recognizers if isinstance(each, PatternRecognizer)]

    def detect(batch: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [
            [
                (result.start, result.end)
                for each in patterns
                for result in each.analyze(text, each.supported_entities)
            ]
            for text in batch
        ]

    return detect


def _row(
    what: str,
    ours: float,
    unit: str,
    peer: float | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """Compare a figure with its target and its peer."""
    target, met = None, None
    if at_least is not None:
        target, met = f">= {at_least:g}", ours >= at_least
    elif at_most is not None:
        target, met = f"<= {at_most:g}", ours <= at_most
    return Row(
        what=what,
        ours=ours,
        unit=unit,
        peer=peer,
        peer_name=None if peer is None else "presidio",
        ratio=ours / peer if peer else None,
        target=target,
        met=met,
    )


def _share(texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> float:
    """Return the share of letters and digits inside spans."""
    inside = sum(
        sum(map(str.isalnum, text[start:end]))
        for text, found in zip(texts, spans, strict=True)
        for start, end in found
    )
    return inside / sum(sum(map(str.isalnum, text)) for text in texts)


def _best(work: Callable[[], object], repeats: int) -> float:
    """Return the least CPU seconds of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _cold(texts: Sequence[str]) -> float:
    """Return the CPU seconds of a redactor that has seen nothing yet."""
    redactor = Redactor()
    return _best(lambda: redactor.redact_batch(texts), 1)


def _data() -> Path:
    """Return the data folder."""
    folder = Path(os.environ.get("FIELDVOTE_DATA", ""))
    if not (folder / "pii").is_dir() or not os.environ.get("FIELDVOTE_DATA"):
        raise MissingDataError("set FIELDVOTE_DATA to the folder that holds pii/ and sms_spam.npz")
    return folder


if __name__ == "__main__":
    sys.exit(run("redaction", "Redaction: coverage, loss, speed.", measure))
