"""Several people at one queue: who is asked what, and when their answers are a label."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from coordinator.labels.desk import Desk, Seat
from coordinator.labels.desk_keys import pseudonym
from coordinator.settings import LabelingSettings
from coordinator.store.campaign import Store, open_store
from fieldvote.records import Answer, MaskedItem, decode
from privacy.sealing import SigningKey, open_envelope
from privacy.sealing.context import Purpose
from tests.coordinator.labels.test_desk import (
    KEYS,
    NOON,
    ONE,
    OPENERS,
    SETTINGS,
    TASK,
    Reader,
    item,
    meet,
    other_of,
    put,
    scope,
    sealed,
)
from tests.coordinator.labels.test_desk import store as store


def company(rule: LabelingSettings, *seats: Seat) -> Desk:
    """Return a desk with several people."""
    settings = replace(SETTINGS, labeling=rule)
    return Desk(KEYS, *seats, settings=settings, task=TASK, classes=8)


def sat(name: str, label: int | None, *, expert: bool = False) -> Seat:
    return Seat(annotator=Reader(label=label), name=name, expert=expert)


def test_several_people_answer_and_nobody_twice(store: Store) -> None:
    put(store, "a", sealed("a"))
    rule = LabelingSettings(answers=3)
    ann = sat("ann", 2)
    for _ in range(3):
        company(rule, ann).work(store)
    assert store.paid() == (1, 0.25)
    assert len(store.queue()) == 1
    bob, cid = sat("bob", 2), sat("cid", 1)
    company(rule, bob, cid).work(store)
    # two of three agree: the third is neither asked nor paid
    assert store.paid() == (2, 0.5)
    assert len(cid.annotator.seen) == 0  # type: ignore[attr-defined]  # a Reader
    [kept] = store.kept_labels()
    assert (kept.label.label, kept.label.method, kept.round) == (2, "consensus", 1)
    assert len({answer.annotator for answer, _ in kept.answers}) == 2


def test_an_expert_decides_what_people_could_not_agree_on_and_is_asked_nothing_else(
    store: Store,
) -> None:
    put(store, "a", sealed("a"))
    put(store, "b", sealed("b"))
    rule = LabelingSettings(answers=2, expert_price=1.0, guideline="when in doubt, 0")
    boss = sat("boss", 7, expert=True)
    company(rule, boss).work(store)
    assert store.paid() == (0, 0.0)

    class Wavering(Reader):
        def answer(self, item: MaskedItem) -> int | None:
            return item.item[0] % 2

    company(rule, sat("ann", 1), Seat(annotator=Wavering(), name="bob")).work(store)
    assert [waiting.item for waiting in store.queue()] == [item("b")]
    company(rule, sat("cid", 1)).work(store)
    assert len(store.queue()) == 1
    company(rule, boss).work(store)
    assert store.paid() == (5, 4 * 0.25 + 1.0)
    found = {kept.label.item: kept for kept in store.kept_labels()}
    assert found[item("a")].label.method == "consensus"
    decided = found[item("b")]
    assert (decided.label.label, decided.label.method, decided.label.agreement) == (7, "expert", 0)
    assert [answer.expert for answer, _ in decided.answers].count(True) == 1
    assert {answer.guideline for answer, _ in decided.answers} == {rule.version}
    opened = open_envelope(
        dict(store.undelivered()[ONE])[item("b")],
        keys=[OPENERS[ONE]],
        scope=scope(Purpose.ANSWER),
        senders=[KEYS.signing.public],
    )
    assert decode(opened.plaintext, Answer).label == 7


def test_two_desks_cannot_both_give_the_last_answer(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    rule = LabelingSettings(answers=2)
    with closing(open_store(path, now=lambda: NOON)) as store, closing(other_of(path)) as other:
        meet(store)
        put(store, "a", sealed("a"))
        company(rule, sat("ann", 1)).work(store)

        class Slow(Reader):
            def answer(self, item: MaskedItem) -> int | None:
                company(rule, sat("bob", 1)).work(other)  # meanwhile a colleague is faster
                return 3

        company(rule, Seat(annotator=Slow(), name="cid")).work(store)
        [kept] = store.kept_labels()
        assert kept.label.label == 1
        assert store.paid() == (2, 0.5)


def test_a_rule_that_asks_for_less_makes_labels_of_what_was_said(store: Store) -> None:
    put(store, "a", sealed("a"))
    company(LabelingSettings(answers=3), sat("ann", 4)).work(store)
    assert store.kept_labels() == []
    company(LabelingSettings()).work(store)
    [kept] = store.kept_labels()
    assert (kept.label.label, store.paid()) == (4, (1, 0.25))


def test_the_store_knows_annotators_by_a_pseudonym_only_the_desk_can_make(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store:
        meet(store)
        put(store, "a", sealed("a"))
        company(LabelingSettings(), sat("Annabel Lee", 1)).work(store)
        [kept] = store.kept_labels()
        [(answer, _)] = kept.answers
        assert answer.annotator == pseudonym("Annabel Lee", KEYS.signing)
        assert answer.annotator != pseudonym("Annabel Lee", SigningKey(b"e" * 32))
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Annabel" not in content
