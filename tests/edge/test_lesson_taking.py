"""A real agent's lessons: the signed policy has the last word, and features are made of items."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.agent import Agent
from edge.items import row_payload
from edge.lesson_taking import Sent, confidences, taught_here, vouched
from edge.scorer import Scorer, Scores
from fieldvote.errors import InputError, RefusalError, SettingsError, ShapeError
from fieldvote.heads import GradientReply, GradientRequest, HeadModel, VotesReply, VotesRequest
from fieldvote.policy import Policy, TeachingPolicy
from fieldvote.records import ARM_RANDOM, decode
from fieldvote.teaching import TeachingRule
from strategies.governance import DepthReport, PseudoLabelCounts, Source
from strategies.governance.tiers import ConfidenceCounts
from strategies.labeling import LabelModel
from tests.doubles.agents import Device, build_device, gradient_request
from tests.doubles.machines import (
    CLASSES,
    EVERYTHING,
    IDS,
    ROWS,
    TASK,
    TRUTH,
    device_of,
    first_head,
    label_model_of,
    labeled,
)
from tests.doubles.tasks import tabular_files, task_of

STRICT = task_of(
    {
        **tabular_files(),
        "policy.toml": tabular_files()["policy.toml"] + b"\n[teaching]\nverified_only = true\n",
    }
)
ANY = TeachingRule(
    thresholds=np.zeros(CLASSES, dtype=np.int64), most_pseudo=0.5, second_views=1.0, consistency=1.0
)


def trained(model: HeadModel) -> HeadModel:
    """Return a head that says something."""
    weights = np.random.default_rng(1).integers(-(1 << 19), 1 << 19, len(model.weights))
    return replace(model, weights=weights)


def lesson(model: HeadModel, label_model: list[float], rule: TeachingRule) -> GradientRequest:
    request = gradient_request(model, vote_weight=0.5, label_model=label_model)
    return replace(request, teaching=rule, teacher=trained(model))


def strict_device() -> tuple[Device, HeadModel]:
    """Return a device whose policy lets only people teach, after some answers."""
    device = build_device(STRICT, [row_payload(row) for row in ROWS], ids=IDS)
    surveyed = device.survey(random=EVERYTHING)
    model = first_head(surveyed)
    collected = device.collect(offer.item for offer in surveyed.offers[:20])
    truth = dict(zip(IDS, TRUTH.tolist(), strict=True))
    device.answers([device.sealed_answer(s.item, truth[s.item]) for s in collected.sealed], model)
    return device, model


def test_where_the_policy_lets_only_people_teach_no_coordinator_can_undo_it() -> None:
    device, model = strict_device()
    votes = label_model_of(device)
    for rule in (TeachingRule(), replace(ANY, second_views=0.0)):
        asked = lesson(model, votes, rule)
        sums = decode(device.ask(asked), GradientReply).sums
        plain = decode(device.ask(gradient_request(model)), GradientReply).sums
        assert np.array_equal(sums, plain)
    sent = Sent(label_model=np.array(votes), vote_weight=0.5, rule=ANY, teacher=trained(model))
    lessons = taught_here(device.agent._held, sent).lessons
    assert len(lessons) > 0
    assert set(lessons.sources.tolist()) == {Source.VERIFIED}
    assert confidences(device.agent._held, sent).voted.sum() == 0
    # the same pool under the same request, without that line in its policy
    free = Agent(replace(device.agent._parts, task=TASK))
    assert set(taught_here(free._held, sent).lessons.sources.tolist()) == set(Source)


def test_the_line_is_part_of_what_the_owner_signs() -> None:
    assert Policy().teaching == TeachingPolicy(verified_only=False)
    assert STRICT.policy.teaching.verified_only
    assert STRICT.digest != TASK.digest
    assert STRICT.policy_digest != TASK.policy_digest
    with pytest.raises(SettingsError, match="verified_only"):
        task_of({**tabular_files(), "policy.toml": b"[teaching]\nverified_onyl = true\n"})


class Spy:
    """A scorer that remembers what it was fed."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.fed: list[NDArray[np.float32]] = []

    def score(self, inputs: NDArray[np.float32]) -> Scores:
        """Score, and remember."""
        self.fed.append(inputs.copy())
        return self._scorer.score(inputs)

    def __getattr__(self, name: str) -> object:
        return getattr(self._scorer, name)


def test_who_answered_what_was_voted_and_how_sure_anybody_was_is_never_a_feature() -> None:
    bare, told = device_of(), device_of()
    model, _ = labeled(told, first=False)
    told.pool.update("UPDATE item SET gold = position % 3", [()])
    spies = []
    for device in (bare, told):
        spy = Spy(device.agent._parts.scorer)
        parts = replace(device.agent._parts, scorer=spy)  # type: ignore[arg-type]  # stands in for one
        agent = Agent(parts)
        _ = agent._held.views.embeddings
        spies.append((spy, agent._held.learner.features(model)))
    (one, features), (other, again) = spies
    assert (told.pool.column("answer") >= 0).any()
    assert (bare.pool.column("answer") < 0).all()
    assert len(one.fed) == len(other.fed) == 2  # the items, and their second views
    for ours, theirs in zip(one.fed, other.fed, strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(features, again)


def test_lessons_of_an_agent_learn_from_the_item_that_was_never_masked() -> None:
    device = device_of()
    labeled(device, first=False)
    lessons = taught_here(
        device.agent._held, Sent(label_model=np.empty(0), vote_weight=0.0, rule=None)
    ).lessons
    seen = device.agent._held.learner.embeddings[lessons.positions]
    assert np.allclose(seen, ROWS[lessons.positions].astype(np.float32))
    assert lessons.targets.argmax(axis=1).tolist() == TRUTH[lessons.positions].tolist()


def test_second_views_move_the_gradient_and_consistency_asks_the_teacher() -> None:
    device = device_of()
    model, _ = labeled(device, first=False, random=15)
    asked = replace(gradient_request(model), teaching=TeachingRule(second_views=1.0))
    again = decode(device.ask(asked), GradientReply).sums
    plain = decode(device.ask(gradient_request(model)), GradientReply).sums
    assert again[1] == 2 * plain[1]  # as much weight again
    assert not np.array_equal(again[2:], 2 * plain[2:])  # and not the same inputs
    asked = replace(asked, teaching=TeachingRule(consistency=1.0), teacher=trained(model))
    alike = decode(device.ask(asked), GradientReply).sums
    assert alike[1] == pytest.approx(2 * plain[1], rel=0.02)
    without = decode(device.ask(replace(asked, teacher=None)), GradientReply).sums
    assert np.array_equal(without, plain)


def question(about: str, model: HeadModel, votes: list[float], **changes: object) -> VotesRequest:
    asked = VotesRequest(
        round=1,
        step=0,
        about=about,
        label_model=np.array(votes),
        copies=b"",
        one_in=1,
        vote_weight=0.5,
        teaching=ANY,
        teacher=trained(model),
    )
    return replace(asked, **changes)  # type: ignore[arg-type]  # callers name fields


def test_an_agent_tells_how_sure_its_labels_are_and_how_right() -> None:
    device = device_of()
    model, _ = labeled(device, first=False, random=15)
    votes = label_model_of(device)
    reply = decode(device.ask(question("confidence", model, votes)), VotesReply)
    told = ConfidenceCounts.from_vector(reply.sums)
    matrix, label_model = device.agent.votes, LabelModel.from_vector(np.array(votes))
    voted = (matrix >= 0).any(axis=1)
    answered = device.pool.column("answer") >= 0
    assert (device.pool.column("arm")[answered] == ARM_RANDOM).all()
    likely = label_model.predict(matrix).argmax(axis=1)
    held_out = device.agent._held.held_out(device.pool.column("arm"))
    assert told.voted.sum() == (voted & ~answered & ~held_out).sum() > 0
    assert told.answered.sum() == (answered & voted).sum() > 0
    assert told.right.sum() == (answered & voted & (likely == TRUTH)).sum()


def test_an_agent_tells_how_deep_its_lessons_go() -> None:
    device = device_of()
    model, _ = labeled(device, first=False, random=15)
    asked = question("depth", model, label_model_of(device))
    told = DepthReport.from_vector(decode(device.ask(asked), VotesReply).sums)
    sent = Sent(
        label_model=asked.label_model,
        vote_weight=0.5,
        rule=asked.teaching,
        teacher=asked.teacher,
    )
    assert np.array_equal(
        told.to_vector(), taught_here(device.agent._held, sent).report.to_vector()
    )


@pytest.mark.parametrize("evaluates", [True, False])
def test_only_answers_that_never_teach_vouch_for_a_model(evaluates: bool) -> None:
    model = first_head(device_of().survey())
    if evaluates:
        payloads = [row_payload(row) for row in ROWS]
        device = build_device(TASK, payloads, ids=IDS, gold=TRUTH.tolist())
        places = np.arange(EVERYTHING)
    else:
        device = device_of()
        labeled(device, first=False)
        places = np.flatnonzero(device.agent._held.held_out(device.pool.column("arm")))
        assert 0 < len(places) < EVERYTHING
    said = device.agent._held.learner.probabilities(trained(model))
    expected = PseudoLabelCounts.of(said[places], TRUTH[places]).to_vector()
    reply = decode(device.ask(question("pseudo", model, [])), VotesReply)
    assert np.array_equal(reply.sums, expected)
    assert reply.sums.sum() > 0


def test_a_device_that_only_evaluates_tells_nothing_else_of_lessons() -> None:
    model = first_head(device_of().survey())
    device = build_device(TASK, [row_payload(row) for row in ROWS], ids=IDS, gold=TRUTH.tolist())
    for about in ("confidence", "depth", "expected"):
        with pytest.raises(RefusalError, match="only evaluates"):
            device.ask(question(about, model, label_model_of(device)))


def test_a_question_about_a_model_that_was_not_sent_is_refused() -> None:
    device = device_of()
    model, _ = labeled(device, first=False)
    with pytest.raises(InputError, match="none was sent"):
        device.ask(question("pseudo", model, [], teacher=None))


@pytest.mark.parametrize(
    "rule",
    [
        replace(ANY, groups=np.zeros(99, dtype=np.int64)),
        replace(ANY, thresholds=np.zeros(99, dtype=np.int64)),
        replace(ANY, most_pseudo=7.0),
        replace(ANY, second_views=-1.0),
        replace(ANY, high=-1.0),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_and_changes_nothing(rule: TeachingRule) -> None:
    device = device_of()
    model, _ = labeled(device, first=False, random=15)
    before, votes = device.state(), label_model_of(device)
    for request in (lesson(model, votes, rule), question("depth", model, votes, teaching=rule)):
        with pytest.raises(InputError):
            device.ask(request)
    assert device.state() == before


def test_a_teacher_for_other_classes_is_refused() -> None:
    device = device_of()
    model, _ = labeled(device, first=False, random=15)
    other = replace(trained(model), classes=2, weights=np.zeros(8, dtype=np.int64))
    with pytest.raises(ShapeError):
        device.ask(question("depth", model, label_model_of(device), teacher=other))


def test_counts_of_two_devices_add_up() -> None:
    whole = device_of()
    labeled(whole, first=False, random=0)
    halves = [device_of(np.arange(0, 17)), device_of(np.arange(17, EVERYTHING))]
    sent = Sent(label_model=np.array(label_model_of(whole)), vote_weight=0.5, rule=None)
    counts = [confidences(device.agent._held, sent) for device in (whole, *halves)]
    assert np.array_equal((counts[1] + counts[2]).to_vector(), counts[0].to_vector())
    with pytest.raises(InputError):
        vouched(whole.agent._held, sent)
