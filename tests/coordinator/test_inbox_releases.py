"""The door in, where functions change: replies are filed by what they are over, or dropped."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from coordinator.inbox import BEYOND, VOTES, Inbox
from coordinator.models.totals import shapes_of
from coordinator.plausible import can_try
from coordinator.releases.ledger import Ledger
from coordinator.releases.tasks import keep_bundle
from coordinator.store.campaign import Store, open_store
from fieldvote.records import SurveyReply, encode
from fieldvote.releases import TrialReply
from strategies.labeling import VoteSummary
from tests.coordinator.releases.signed import A2, A_LOW, A, B, signed, task_of, trial_of
from tests.coordinator.replies import MOMENTS, NOON, NOTHING, ONE, TWO, total

BEFORE, NEXT = signed((A, B), 1), signed((A2, B, A_LOW), 2)
TASK, AFTER = task_of(BEFORE), task_of(NEXT)
ROWS = np.array([[0, 1], [1, 1], [0, -1]], dtype=np.int8)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_store(None, now=lambda: NOON)
    yield opened
    opened.close()


def inbox_of(store: Store) -> Inbox:
    """Return the inbox of a campaign that has gone on to the next release."""
    for task, bundle in ((TASK, BEFORE), (AFTER, NEXT)):
        keep_bundle(store, task.digest, store.keep_artifact(bundle.content))
    return Inbox(store, shapes_of(AFTER), earlier=Ledger(store, AFTER))


def first(task: str) -> SurveyReply:
    """Return the first survey of a device that runs the release before."""
    return SurveyReply(
        round=1,
        items=3,
        voted=3,
        votes=VoteSummary.from_votes(ROWS, classes=2).to_vector(),
        moments=MOMENTS.to_vector(),
        offers=(),
        task=task,
    )


def renewed() -> SurveyReply:
    """Return what two new functions add on three items of an earlier sum."""
    votes = VoteSummary.from_votes(np.array([[0, -1, 1]] * 3, dtype=np.int8), classes=2)
    vector = votes.to_vector()
    vector[0] = 0
    return SurveyReply(
        round=1,
        items=0,
        voted=0,
        votes=vector,
        moments=NOTHING,
        offers=(),
        task=AFTER.digest,
        renewed=np.array([3, 0, 3], dtype=np.int64),
    )


def test_sums_of_the_release_before_are_filed_by_version(store: Store) -> None:
    inbox = inbox_of(store)
    with store.transaction():
        assert inbox.survey(1, {ONE: encode(first(TASK.digest))}) == (1, 0)
    whole = Ledger(store, AFTER).whole()
    own = whole.select(TASK.versions)
    assert own.votes == VoteSummary.from_votes(ROWS, classes=2)
    # what stays is among the columns rounds read, what went is archived, what is new saw nothing
    vector = store.total(VOTES)
    assert vector is not None
    now = VoteSummary.from_vector(vector, functions=3, classes=2)
    assert now.counts.tolist() == [[0, 0], own.votes.counts[1].tolist(), [0, 0]]
    assert whole.select(AFTER.versions).seen.tolist() == [0, 3, 0]


def test_sums_of_a_task_nobody_knows_are_dropped_and_still_waited_for(store: Store) -> None:
    inbox = inbox_of(store)
    store.expect_all(1, "survey", {ONE: b"request"})
    with store.transaction():
        assert inbox.survey(1, {ONE: encode(first("f" * 64))}) == (0, 0)
    assert dict(inbox.dropped) == {"another task": 1}
    assert store.expected(1, "survey") == {ONE: b"request"}
    assert total(store, VOTES) is None


def test_what_new_functions_add_is_counted_without_counting_items_again(store: Store) -> None:
    inbox = inbox_of(store)
    with store.transaction():
        assert inbox.survey(1, {ONE: encode(renewed())}) == (1, 0)
        assert inbox.survey(1, {ONE: encode(renewed())}) == (0, 0)
    assert total(store, BEYOND) == [3, 0, 3]
    votes = total(store, VOTES)
    assert votes is not None
    assert votes[0] == 0


LIES = {
    "more votes than items": {"renewed": np.array([2, 0, 2], dtype=np.int64)},
    "items that were never counted": {"items": 1},
    "another number of functions": {"renewed": np.array([3, 3], dtype=np.int64)},
    "less than none": {"renewed": np.array([3, -1, 3], dtype=np.int64)},
    "votes without items": {"renewed": NOTHING},
    "moments again": {"moments": MOMENTS.to_vector()},
}


@pytest.mark.parametrize("lie", list(LIES))
def test_a_survey_that_no_honest_device_sends_is_dropped(store: Store, lie: str) -> None:
    inbox = inbox_of(store)
    wrong = replace(renewed(), **LIES[lie])  # type: ignore[arg-type]  # one field each
    with store.transaction():
        assert inbox.survey(1, {ONE: encode(wrong)}) == (0, 0)
    assert total(store, VOTES) is None


def trial_reply(**changes: object) -> TrialReply:
    """Return a reply on two new functions beside two old ones."""
    ten = np.full(2, 10, dtype=np.int64)
    fields: dict[str, object] = {
        "round": 1,
        "task": AFTER.digest,
        "items": 10,
        "seen": ten,
        "votes": np.full(14, 4, dtype=np.int64),
        "anchors": np.zeros(8, dtype=np.int64),
        "errors": ten * 0,
        "micros": ten,
    }
    return TrialReply(**{**fields, **changes})  # type: ignore[arg-type]  # checked as a whole


def fits(reply: TrialReply) -> bool:
    return can_try(reply, task=AFTER.digest, functions=4, brought=2, classes=2)


def test_an_honest_trial_is_counted_once(store: Store) -> None:
    inbox = inbox_of(store)
    nothing = encode(TrialReply.nothing(trial_of(TASK, NEXT).round))
    replies = {ONE: encode(trial_reply()), TWO: nothing}
    with store.transaction():
        assert len(inbox.trials(1, replies, fits=fits)) == 2
        assert inbox.trials(1, replies, fits=fits) == []
        assert inbox.trials(2, {ONE: encode(trial_reply())}, fits=fits) == []
    assert dict(inbox.dropped) == {"another round": 1}


@pytest.mark.parametrize(
    "lie",
    [
        {"task": "0" * 64},
        {"items": -1},
        {"items": 1 << 40},
        {"seen": np.full(2, 11, dtype=np.int64)},
        {"seen": np.full(4, 1, dtype=np.int64)},
        {"votes": np.full(14, 11, dtype=np.int64)},
        {"votes": np.full(13, 1, dtype=np.int64)},
        {"votes": np.full(14, -1, dtype=np.int64)},
        {"anchors": np.zeros(9, dtype=np.int64)},
        {"errors": np.full(2, 11, dtype=np.int64)},
        {"micros": np.full(2, -1, dtype=np.int64)},
        {"items": 0},
    ],
)
def test_a_trial_that_no_honest_device_sends_is_dropped(
    store: Store, lie: dict[str, object]
) -> None:
    inbox = inbox_of(store)
    with store.transaction():
        assert inbox.trials(1, {ONE: encode(trial_reply(**lie))}, fits=fits) == []
    assert dict(inbox.dropped) == {"does not fit": 1}
