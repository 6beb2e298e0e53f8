"""Confidence governance in a whole campaign: the rule is made from sums, obeyed, and reported."""

from contextlib import closing
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.models.totals import Snapshot, read_parameters
from coordinator.rounds.events import Agreed, Asked, Closed, Evaluated, Snapshotted
from coordinator.rounds.governing import (
    LessonQuestion,
    fits,
    govern_round,
    report_at,
    rule_at,
    teacher_of,
    write_rule,
)
from coordinator.rounds.machine import Phase
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.views import show_round
from coordinator.settings import CampaignSettings
from coordinator.teaching_settings import TeachingSettings
from edge.lesson_taking import Sent, taught_here
from fieldvote.conversation import Conversation, replay
from fieldvote.errors import SettingsError, UnavailableError, WireError
from fieldvote.heads import GradientRequest, VotesReply, VotesRequest
from fieldvote.records import REQUESTS, DeviceId, decode, encode
from fieldvote.teaching import TeachingRule
from strategies.governance import Depth, DepthReport, PseudoLabelCounts
from strategies.governance.depth_report import BANDS
from strategies.governance.pseudo_labels import BINS as PSEUDO_BINS
from strategies.governance.tiers import ConfidenceCounts
from strategies.labeling.thresholds import BINS
from strategies.representation import Moments
from tests.coordinator.rounds.campaign import SETTINGS, TASK, Campaign, settings_with
from tests.coordinator.rounds.deep import deep_task
from tests.doubles.agents import model_from
from tests.doubles.transport import Handler

SHARE = TeachingSettings(gate="share")
ALL = TeachingSettings(gate="share", pseudo_share=0.3, pseudo_precision=0.5, consistency=0.5)


def with_teaching(said: TeachingSettings) -> CampaignSettings:
    return settings_with(teaching=said)


def overheard(campaign: Campaign) -> list[tuple[DeviceId, GradientRequest | VotesRequest]]:
    """Return a list that will hold every request about training, and who was sent it."""
    heard: list[tuple[DeviceId, GradientRequest | VotesRequest]] = []

    def between(device: DeviceId, handle: Handler) -> Handler:
        def listen(request: bytes) -> bytes:
            message = decode(request, *REQUESTS)
            if isinstance(message, GradientRequest | VotesRequest):
                heard.append((device, message))
            return handle(request)

        return listen

    handlers = campaign.network.handlers
    campaign.network.handlers = {d: between(d, handlers[d]) for d in handlers}
    return heard


def vote_legs(campaign: Campaign, number: int) -> list[Closed]:
    return [e for e in campaign.events(Closed) if (e.round, e.exchange) == (number, "votes")]


def test_without_a_table_of_its_own_a_campaign_asks_nothing_and_sends_no_rule() -> None:
    with closing(Campaign()) as made:
        heard = overheard(made)
        made.run(1)
        fit = made.events(Agreed)[0].exchanges
        assert len(vote_legs(made, 1)) == fit
        assert (made.events(Agreed)[0].teaching, made.events(Agreed)[0].depth) == ("", "")
        rules = [m.teaching for _, m in heard if isinstance(m, GradientRequest)]
        assert rules
        assert set(rules) == {None}
        assert "taught_all_layers" not in show_round(made.store, 1)


def test_the_rule_that_training_is_sent_cuts_where_the_fleets_own_votes_say() -> None:
    with closing(Campaign(with_teaching(SHARE))) as made:
        heard = overheard(made)
        made.run(1)
        [agreed] = made.events(Agreed)
        rule = rule_at(made.store, agreed.teaching)
        assert rule is not None
        label_model = read_parameters(made.store.artifact(agreed.label_model))
        asked = [m for _, m in heard if isinstance(m, VotesRequest) and m.about == "confidence"]
        sure = []
        for device, agent in made.fleet.agents.items():
            if made.store.devices()[device].evaluates:
                continue
            sent = Sent(label_model=label_model, vote_weight=asked[0].vote_weight, rule=None)
            lessons = taught_here(agent._held, sent).lessons
            sure += lessons.targets[lessons.sources == 1].max(axis=1).tolist()
        above = [confidence for confidence in sure if confidence >= rule.high]
        assert len(above) >= len(sure) / 2 > 0
        assert len([c for c in sure if c >= rule.high + 1 / BINS]) < len(sure) / 2
        assert min(sure) >= rule.middle
        rules = [m.teaching for _, m in heard if isinstance(m, GradientRequest)]
        assert {write_rule(sent) for sent in rules if sent} == {write_rule(rule)}
        assert None not in rules


def test_the_report_of_a_round_is_the_sum_of_what_its_devices_say() -> None:
    with closing(Campaign(with_teaching(SHARE))) as made:
        made.run(2)
        agreed = made.events(Agreed)[1]
        rule, report = rule_at(made.store, agreed.teaching), report_at(made.store, agreed.depth)
        assert report is not None
        # by hand: what the devices hold has changed since by answers only in later rounds
        kept = Snapshot.from_bytes(made.store.artifact(made.events(Snapshotted)[1].inputs))
        sent = Sent(
            label_model=read_parameters(made.store.artifact(agreed.label_model)),
            vote_weight=kept.vote_weight(made.settings, len(TASK.functions)),
            rule=rule,
        )
        whole = reduce(
            add,
            (
                taught_here(agent._held, sent).report
                for device, agent in made.fleet.agents.items()
                if not made.store.devices()[device].evaluates
            ),
        )
        assert np.array_equal(report.to_vector(), whole.to_vector())
        assert report.counts[BANDS.index("verified"), 2] > 0
        row = show_round(made.store, 2)
        assert str(row["taught_all_layers"]).endswith(
            f"{report.counts[BANDS.index('verified'), 2]} verified"
        )
        assert row["weights_cut"] == 0


def test_a_network_is_taught_as_deep_as_labels_are_sure_unless_the_campaign_says_no() -> None:
    settings_, task = settings_with(learner="deep", exchanges=2, epochs=1), deep_task()
    with closing(Campaign(settings_, task=task)) as made:
        heard = overheard(made)
        made.run(2)
        agreed = made.events(Agreed)[1]
        rule, report = rule_at(made.store, agreed.teaching), report_at(made.store, agreed.depth)
        assert rule is not None
        assert report is not None
        assert report.counts[:, Depth.ALL].sum() > 0
        assert report.counts[:, Depth.HEAD].sum() > 0
        assert report.counts[:, Depth.QUERY].sum() == 0  # votes serve on all voted items
        sent = [m for _, m in heard if isinstance(m, GradientRequest) and m.round == 2]
        assert all(m.drill is not None and m.teaching is not None for m in sent)
        told = show_round(made.store, 2)
        assert "none" not in (told["taught_all_layers"], told["taught_the_head"])
    off = replace(settings_, teaching=TeachingSettings(gate="off"))
    with closing(Campaign(off, task=task)) as made:
        made.run(1)
        assert made.events(Agreed)[0].teaching == ""


@pytest.mark.parametrize("said", [SHARE, ALL, TeachingSettings(report=True)])
def test_a_governed_round_is_made_again_to_the_bit(said: TeachingSettings) -> None:
    with closing(Campaign(with_teaching(said))) as made:
        made.run(2)
        for number in (1, 2):
            again = reproduce(made.store, TASK, SETTINGS, made.scheduler.events, number)
            assert [step.step for step in again if not step.same] == []
            assert "teaching rule" in [step.step for step in again]
            events = [
                replace(event, teaching=event.label_model) if isinstance(event, Agreed) else event
                for event in made.scheduler.events
            ]
            forged = reproduce(made.store, TASK, SETTINGS, events, number)
            assert "teaching rule" in [step.step for step in forged if not step.same]


def test_a_coordinator_that_is_started_again_goes_on_where_the_conversation_was() -> None:
    whole, cut = Campaign(with_teaching(ALL)), Campaign(with_teaching(ALL))
    with closing(whole), closing(cut):
        whole.run(2)
        cut.scheduler = cut.started(rounds=2)
        while not cut.scheduler.finished:
            if cut.scheduler.turn() is not None:
                cut.clock.sleep(1.0)
            cut.scheduler = cut.started(rounds=2)
        for kind in (Agreed, Evaluated):
            assert whole.events(kind) == cut.events(kind)


def test_with_only_verified_labels_votes_teach_nothing_and_are_not_asked_about() -> None:
    said = TeachingSettings(verified_only=True, report=True)
    with closing(Campaign(with_teaching(said))) as made:
        heard = overheard(made)
        made.run(2)
        assert made.parts.settings.vote_weight == 0
        for _, message in heard:
            assert message.vote_weight == 0
            assert not len(message.label_model)
        report = report_at(made.store, made.events(Agreed)[1].depth)
        assert report is not None
        verified = BANDS.index("verified")
        assert report.counts[verified].sum() == report.counts.sum() > 0


def test_pseudo_labels_come_from_the_head_before_and_need_answers_that_vouch_for_them() -> None:
    with closing(Campaign(with_teaching(ALL))) as made:
        heard = overheard(made)
        made.run(3)
        first, _, third = (rule_at(made.store, e.teaching) for e in made.events(Agreed))
        assert first is not None
        assert third is not None
        assert not len(first.thresholds)  # nothing was trained yet that could label
        assert not first.consistency
        assert third.consistency == 0.5
        assert len(third.thresholds) == 2
        judges = {d for d, m in heard if isinstance(m, VotesRequest) and m.about == "pseudo"}
        assert DeviceId(4) in judges
        gradients = [m for _, m in heard if isinstance(m, GradientRequest)]
        assert all((m.teacher is None) == (m.round == 1) for m in gradients)
        report = report_at(made.store, made.events(Agreed)[2].depth)
        assert report is not None
        assert report.counts[BANDS.index("pseudo-labels")].sum() > 0


@pytest.mark.parametrize("about", ["confidence", "depth", "pseudo"])
def test_counts_that_no_device_could_have_are_dropped(about: str) -> None:
    with closing(Campaign(with_teaching(ALL))) as made:
        made.run(1)

        def spoiled(reply: bytes) -> bytes:
            said = decode(reply, VotesReply)
            if len(said.sums) == {"confidence": 3 * BINS, "pseudo": 4 * PSEUDO_BINS}.get(about):
                # more are right than were said
                return encode(replace(said, sums=np.arange(len(said.sums))))
            wrong = len(said.sums) == len(DepthReport.none().to_vector()) and about == "depth"
            return encode(replace(said, sums=-said.sums - 1)) if wrong else reply

        def only_votes(reply: bytes) -> bytes:
            try:
                return spoiled(reply)
            except WireError:
                return reply

        made.network.corrupt = dict.fromkeys(made.fleet.agents, only_votes)
        with pytest.raises(UnavailableError):
            made.scheduler.run_round()
        assert made.scheduler.state.phase is Phase.SNAPSHOT


def answered(question: LessonQuestion, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return what a fleet could say to a question."""
    rng = np.random.default_rng(seed)
    match question.about:
        case "confidence":
            p = rng.dirichlet(np.ones(2), size=40)
            counts = ConfidenceCounts.of(p, answered=p, labels=rng.integers(0, 2, 40))
            return counts.to_vector()
        case "pseudo":
            p = rng.dirichlet(np.ones(2), size=40)
            return PseudoLabelCounts.of(p, p.argmax(axis=1)).to_vector()
        case "depth":
            return DepthReport.none().to_vector()


@pytest.fixture(scope="module")
def kept() -> Snapshot:
    """Return the sums a round of a small campaign trained from."""
    with closing(Campaign()) as made:
        made.run(1)
        return Snapshot.from_bytes(made.store.artifact(made.events(Snapshotted)[0].inputs))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["auto", "off", "fixed", "share", "measured"]),
    st.booleans(),
    st.sampled_from([0.0, 0.3]),
    st.integers(0, 99),
)
def test_the_same_sums_lead_to_the_same_rule(
    kept: Snapshot, gate: str, trained: bool, pseudo: float, seed: int
) -> None:
    said = TeachingSettings(gate=gate, pseudo_share=pseudo, report=True)  # type: ignore[arg-type]  # drawn from its words
    whole = with_teaching(said)
    ruling, legs = Conversation.begin(govern_round(TASK, kept, whole, trained=trained)), []
    while ruling.asked is not None:
        legs.append(answered(ruling.asked, seed))
        assert fits(ruling.asked, legs[-1], classes=2)
        assert len(legs[-1]) == ruling.asked.length
        ruling.tell(legs[-1])
    held = replay(govern_round(TASK, kept, whole, trained=trained), legs)
    assert ruling.result is not None
    assert held is not None
    again = held.result
    assert again is not None
    assert write_rule(again) == write_rule(ruling.result)
    assert again.high >= again.middle
    assert replay(govern_round(TASK, kept, whole, trained=trained), [*legs, legs[-1]]) is None


def test_a_head_travels_as_a_teacher_only_where_it_has_something_to_label() -> None:
    head = model_from(Moments.from_embeddings(np.eye(3)), classes=2)
    never, some = np.full(2, PSEUDO_BINS), np.array([PSEUDO_BINS, 70])
    assert teacher_of(None, head) is None
    assert teacher_of(TeachingRule(second_views=1.0), head) is None
    assert teacher_of(TeachingRule(thresholds=never), head) is None
    assert teacher_of(TeachingRule(thresholds=some), head) is head
    assert teacher_of(TeachingRule(consistency=0.5), head) is head


@pytest.mark.parametrize(
    "wrong",
    [
        {"deep_share": 0.9, "taught_share": 0.5},
        {"middle": 0.9, "high": 0.5},
        {"voices": -1},
        {"agreement": 1.5},
        {"most_weight": 0.0},
        {"most_weight": 17.0},
        {"pseudo_share": 1.0},
        {"pseudo_precision": 1.0},
        {"second_views": -1.0},
        {"second_views": 1.5},
        {"consistency": -1.0},
        {"sharpness": float("nan")},
    ],
)
def test_settings_no_lesson_could_go_by_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        TeachingSettings(**wrong)  # type: ignore[arg-type]  # a table


def test_asked_events_of_a_governed_round_are_told_apart_by_their_leg() -> None:
    with closing(Campaign(with_teaching(ALL))) as made:
        made.run(2)
        legs = [e.leg for e in made.events(Asked) if (e.round, e.exchange) == (2, "votes")]
        assert legs == list(range(len(legs)))
        assert len(legs) == made.events(Agreed)[1].exchanges + 3
