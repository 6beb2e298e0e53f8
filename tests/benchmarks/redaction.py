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

from fieldvote.errors import MissingDataError
from privacy.pii import Redactor

STRUCTURED = """CREDIT_CARD PHONE_NUMBER DATE_TIME EMAIL_ADDRESS US_SSN IBAN_CODE DOMAIN_NAME
    US_DRIVER_LICENSE IP_ADDRESS"""
GROUPS = dict.fromkeys(STRUCTURED.split(), "structured")
GROUPS |= {"PERSON": "PERSON", "ADDRESS": "ADDRESS"}
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

    def ours(batch: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [[(a, b) for a, b, _ in done.spans] for done in redactor.redact_batch(batch)]

    peer = presidio() if peers else None
    covered, lost = coverage(held_out, ours)
    peer_covered, peer_lost = coverage(held_out, peer) if peer else ({}, None)
    targets = {"structured": 0.995, "PERSON": 0.995, "ADDRESS": 0.99}
    for group, target in targets.items():
        rows.append(
            _row(
                f"{group}, spans wholly covered, held-out",
                covered[group],
                "share",
                peer_covered.get(group),
                at_least=target,
            )
        )
    rows.append(_row("clean text lost, held-out", lost, "share", peer_lost, at_most=0.12))
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


def coverage(documents: Sequence[Document], detect: Detect) -> tuple[dict[str, float], float]:
    """Return the share of gold spans wholly covered, by group, and of clean text masked."""
    hits: dict[str, list[bool]] = {}
    clean = lost = 0
    for document, found in zip(documents, detect([d.text for d in documents]), strict=True):
        masked = {i for start, end in found for i in range(start, end)}
        letters = {i for i, char in enumerate(document.text) if char.isalnum()}
        gold: set[int] = set()
        for start, end, kind in document.spans:
            wanted = letters & set(range(start, end))
            gold |= wanted
            hits.setdefault(GROUPS.get(kind, "other"), []).append(wanted <= masked)
        clean += len(letters - gold)
        lost += len((letters - gold) & masked)
    return {group: sum(found) / len(found) for group, found in hits.items()}, lost / clean


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
