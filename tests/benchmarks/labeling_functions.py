"""Labeling functions: how many items a second 200 of them vote on, on one core.

    python tests/benchmarks/labeling_functions.py [--peers] [--quick] [--json]

The functions are made from the words of the texts they then vote on, so that they fire: 120 of
keywords (every tenth with a phrase, every tenth with negations), 10 tables, 40 patterns, 30 of
misspelled words. "Seen" is the steady state of a device that votes on its pool again. "Unseen" is a
half of the texts after the other half: new words must be compared with every misspelled one once.
The peer is the same keywords and patterns as one RE2 set, which is what comes to mind first. Times
are CPU seconds of one thread, the best of several runs. Texts: the SMS Spam Collection of the
folder FIELDVOTE_DATA names; without it, messages that the rehearsals make up.
"""

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import re2
from _table import Options, Row, run

from edge.labeling import CompiledFunctions, Items, compile_functions
from edge.labeling.words import spaced, words_pattern
from fieldvote.functions import (
    ExpressionFunction,
    FuzzyFunction,
    KeywordFunction,
    LabelingFunction,
    LookupFunction,
    RegexFunction,
)
from fieldvote.rng import stream
from fieldvote.task import TabularInput, TextInput
from simulations.messages import generate_messages

CLASSES = ("ordinary", "offer")
TEXT = TextInput(width=8)
SHAPES = (
    r"\d+%", r"(?i)\b(call|txt|text) \d{4,}", r"£\d+", r"(?i)www\.[a-z]+", r"\b\d{5}\b",
    r"(?i)free (msg|entry|call)", r"[A-Z]{5,}", r"!!+", r"(?i)\bur\b", r"\?$",
)  # fmt: skip


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    repeats = 2 if options.quick else 40
    texts, name = read_texts()
    functions = text_functions(texts)
    half = len(texts) // 2
    ready = compiled(functions)
    seen = len(texts) / best(lambda: ready.vote(Items(texts=texts)), repeats)
    unseen = (len(texts) - half) / min(
        again(functions, texts[:half], texts[half:]) for _ in range(min(5, repeats))
    )
    cold = len(texts) / min(again(functions, [], texts) for _ in range(min(5, repeats)))
    plain = [each for each in functions if isinstance(each, KeywordFunction | RegexFunction)]
    ours = compiled(plain)
    ours_plain = len(texts) / best(lambda: ours.vote(Items(texts=texts)), repeats)
    first = (len(texts) - half) / again(plain, texts[:half], texts[half:])
    peer = one_set(plain) if options.peers else None
    peer_first = peer_seen = None
    if peer is not None:
        peer(texts[:half])
        peer_first = (len(texts) - half) / best(lambda: peer(texts[half:]), 1)
        peer_seen = len(texts) / best(lambda: peer(texts), repeats)
    met = None if options.quick else seen >= 300_000
    return [
        row(f"200 functions, {name}, seen", seen, target=">= 300000", met=met),
        row(f"200 functions, {name}, unseen", unseen),
        row(f"200 functions, {name}, the first time", cold),
        row(f"{len(plain)} of keywords and patterns, seen", ours_plain, peer_seen),
        row(f"{len(plain)} of keywords and patterns, unseen", first, peer_first),
        row("one expression of 15 steps over rows", expressions(repeats), unit="rows/s"),
    ]


def text_functions(texts: Sequence[str]) -> list[LabelingFunction]:
    """Return 200 functions whose words stand in the texts."""
    counts = Counter(word for text in texts for word in re.findall("[a-z]{4,}", text.lower()))
    common = sorted(counts, key=lambda word: (-counts[word], word))[:600]
    long = [word for word in common if len(word) >= 7] or common
    rng = stream(0, "functions")

    def some(many: int, among: Sequence[str] = common) -> tuple[str, ...]:
        return tuple(among[i] for i in rng.choice(len(among), many, replace=False))

    functions: list[LabelingFunction] = []
    for i in range(120):
        words = some(5) if i % 10 else (*some(4), " ".join(some(2)))
        negations = ("not", "no", "never") if i % 10 == 1 else ()
        functions.append(
            KeywordFunction(
                id=f"k{i}",
                owner="b",
                class_name=CLASSES[i % 2],
                words=words,
                unless_after=negations,
            )
        )
    for i in range(10):
        table = tuple((word, CLASSES[j % 2]) for j, word in enumerate(some(10)))
        functions.append(LookupFunction(id=f"l{i}", owner="b", table=table))
    for i in range(40):
        one, other = some(2)
        pattern = rf"(?i)\b{one}\s+{other}" if i % 2 else rf"(?i){one[:4]}[a-z]*ing\b"
        if i < len(SHAPES):
            pattern = SHAPES[i]
        functions.append(
            RegexFunction(id=f"r{i}", owner="b", class_name=CLASSES[i % 2], pattern=pattern)
        )
    for i in range(30):
        functions.append(  # noqa: PERF401  # one loop a kind reads better
            FuzzyFunction(
                id=f"z{i}",
                owner="b",
                class_name=CLASSES[i % 2],
                words=some(min(3, len(long)), long),
                distance=1 + (i % 2 if min(map(len, long)) >= 7 else 0),
            )
        )
    return functions


def one_set(functions: Sequence[LabelingFunction]) -> Callable[[Sequence[str]], None]:
    """Return a matcher that has every function as one expression of one RE2 set."""
    options = re2.Options()
    options.max_mem = 16 << 20
    options.never_capture = True
    options.log_errors = False
    automaton = re2.Set.SearchSet(options)
    for each in functions:
        if isinstance(each, RegexFunction):
            automaton.Add(each.pattern)
        elif isinstance(each, KeywordFunction):
            automaton.Add(words_pattern(each.words))
    automaton.Compile()

    def match(texts: Sequence[str]) -> None:
        for text in texts:
            automaton.Match(text)
            if not text.isascii():
                automaton.Match(spaced(text))

    return match


def expressions(repeats: int) -> float:
    """Return how many rows a second one expression is asked about."""
    when = "a > 3 * b and (c - d) / (b + 1) < 2 or not missing(d) and a < 0"
    function = ExpressionFunction(id="e", owner="b", class_name=CLASSES[0], when=when)
    fields = ("a", "b", "c", "d")
    ready = compile_functions([function], TabularInput(fields=fields), CLASSES)
    rows = stream(0, "rows").normal(size=(100_000, 4))
    rows[::50, 3] = np.nan
    return len(rows) / best(lambda: ready.vote(Items(rows=rows, names=fields)), repeats)


def compiled(functions: Sequence[LabelingFunction]) -> CompiledFunctions:
    """Return the functions as a device has them."""
    return compile_functions(functions, TEXT, CLASSES)


def again(
    functions: Sequence[LabelingFunction], before: Sequence[str], texts: Sequence[str]
) -> float:
    """Return the CPU seconds of functions that have seen no more than some texts."""
    ready = compiled(functions)
    if before:
        ready.vote(Items(texts=before))
    return best(lambda: ready.vote(Items(texts=texts)), 1)


def best(work: Callable[[], object], repeats: int) -> float:
    """Return the least CPU seconds of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def read_texts() -> tuple[list[str], str]:
    """Return texts, and what they are."""
    file = Path(os.environ.get("FIELDVOTE_DATA", "")) / "sms_spam.npz"
    if os.environ.get("FIELDVOTE_DATA") and file.is_file():
        with np.load(file) as archive:
            return bytes(archive["utf8"]).decode("utf-8").split("\n"), "SMS"
    return list(generate_messages(0).texts or ()), "made-up messages"


def row(
    what: str,
    ours: float,
    peer: float | None = None,
    *,
    unit: str = "texts/s",
    target: str | None = None,
    met: bool | None = None,
) -> Row:
    """Return one line."""
    return Row(
        what=what,
        ours=ours,
        unit=unit,
        peer=peer,
        peer_name=None if peer is None else "one RE2 set",
        ratio=None if peer is None else ours / peer,
        target=target,
        met=met,
    )


if __name__ == "__main__":
    sys.exit(run("labeling_functions", "Labeling functions: items a second.", measure))
