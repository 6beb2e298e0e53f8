"""How sure a campaign's heads are: counted in every round, told, made again, and gone by."""

import doctest
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.governance_settings import CalibrationSettings
from coordinator.inbox import Inbox
from coordinator.models.shelf import Shelf
from coordinator.models.totals import shapes_of
from coordinator.rounds.calibrating import calibrations, evaluated, scored_by
from coordinator.rounds.calibration_view import calibration_rows, scores_told
from coordinator.rounds.events import Evaluated, Event, Selected, dump_event, load_event
from coordinator.rounds.judging import LegSums
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.views import list_rounds, show_round
from coordinator.store.campaign import open_store
from fieldvote.codec import IntVector
from fieldvote.errors import InputError
from fieldvote.heads import EvaluateReply, EvaluateRequest, HeadModel
from fieldvote.records import DeviceId, SurveyReply, SurveyRequest, decode, encode
from fieldvote.settings import parse_settings
from fieldvote.summed_fields import COHORT
from fieldvote.task import Task
from strategies.calibration_sums import CalibrationSums, tempered
from strategies.evaluation import confusion
from tests.coordinator.rounds.campaign import NOON, ONE, TASK, Campaign, make_fleet, settings_with
from tests.coordinator.rounds.deep import deep_task

ROUNDS = 3
ITEMS = 30
NONE = np.empty(0, dtype=np.int64)


class Judged(Campaign):
    """A campaign with enough to judge by, and what its devices would say after each round."""

    def __init__(self, learner: str, task: Task) -> None:
        super().__init__(settings_with(learner=learner, exchanges=2, epochs=1), task=task)
        self.fleet.close()
        self.fleet = make_fleet(items=ITEMS, task=task)
        self.network = self.fleet.transport()
        self.scheduler = self.started()
        self.alone: list[IntVector] = []
        for _ in range(ROUNDS):
            self.run(1)
            state = self.scheduler.campaign.newest
            heads = [self.parts.shelf.get(d) for d in (state.model, state.parent) if d]
            self.alone.append(sum(self.told(heads)))  # type: ignore[arg-type]  # vectors add up

    def ask(self, request: SurveyRequest) -> SurveyReply:
        """Return what a device answers."""
        return decode(self.fleet.agents[ONE].handle(encode(request)), SurveyReply)

    def told(self, heads: list[HeadModel]) -> list[IntVector]:
        """Return what each device's judged items come to, by what its learner says."""
        return [
            CalibrationSums.of(
                [agent._held.learner.probabilities(head)[places] for head in heads], truth
            ).to_vector()
            for agent in self.fleet.agents.values()
            for places, truth in [agent._held.judged]
        ]


def survey_of(model: HeadModel) -> SurveyRequest:
    """Return a survey for a few ranked items."""
    return SurveyRequest(
        round=9, strategy="margin", offers=4, random_offers=0, first=False, model=model
    )


@pytest.fixture(scope="module", params=["head", "network"])
def campaign(request: pytest.FixtureRequest) -> Iterator[Judged]:
    """Yield a campaign of three rounds; nobody changes it."""
    learner, task = {"head": ("summed", TASK), "network": ("deep", deep_task())}[request.param]
    with closing(Judged(learner, task)) as made:
        yield made


def test_every_round_counts_its_head_and_the_one_before_on_the_items_it_judges(
    campaign: Judged,
) -> None:
    events = campaign.events(Evaluated)
    assert [list(event.calibration) for event in events] == [v.tolist() for v in campaign.alone]
    assert [event.calibration[0] for event in events] == [
        sum(event.held_out) + sum(event.random_arm) for event in events
    ]
    assert [len(calibrations(event)) for event in events] == [1, 2, 2]
    assert not campaign.parts.inbox.dropped


def test_a_survey_may_be_sent_a_head_at_its_temperature_and_a_network_at_its_word(
    campaign: Judged,
) -> None:
    event, state = campaign.events(Evaluated)[-1], campaign.scheduler.campaign
    shelf = Shelf(campaign.store)
    at_it = replace(campaign.settings, calibration=CalibrationSettings(scores=True))
    newest, sent = shelf.get(state.model), scored_by(state, shelf, at_it)
    assert encode(scored_by(state, shelf, campaign.settings)) == encode(newest)
    assert event.temperature == calibrations(event)[0].temperature != 1.0
    hot = replace(newest, temperature=event.temperature)
    assert encode(sent) == encode(newest if len(newest.deep) else hot)
    learner = campaign.fleet.agents[ONE]._held.learner
    said = tempered(learner.probabilities(newest), event.temperature)
    assert learner.probabilities(hot).tolist() == said.tolist()
    assert campaign.ask(survey_of(hot)).offers
    with pytest.raises(InputError, match="temperatures lie in"):
        campaign.ask(survey_of(replace(hot, temperature=99.0)))


def test_calibration_is_made_again_to_the_bit_and_a_forged_one_is_caught(campaign: Judged) -> None:
    def steps(change: Callable[[Evaluated], Event]) -> dict[str, bool]:
        events = [
            change(e) if isinstance(e, Evaluated) and e.round == 2 else e
            for e in campaign.scheduler.events
        ]
        made = reproduce(campaign.store, campaign.task, campaign.settings, events, 2)
        return {step.step: step.same for step in made}

    assert steps(lambda event: event)["evaluation"]
    assert not steps(lambda event: replace(event, temperature=2.0))["evaluation"]
    moved = lambda e: replace(e, calibration=(*e.calibration[:-1], e.calibration[-1] + 1))  # noqa: E731  # one line
    assert not steps(moved)["evaluation"]


def test_people_see_what_a_head_says_and_what_is_true(campaign: Judged) -> None:
    row = show_round(campaign.store, 3, classes=TASK.classes)
    event = campaign.events(Evaluated)[-1]
    new, before = calibrations(event)
    assert f"temperature {new.temperature:.2g}" in str(row["calibration"])
    assert f"on {event.calibration[0]} items" in str(row["calibration"])
    assert str(row["uncertainty"]).startswith(f"{before.entropy:.2f} -> {new.entropy:.2f} nats")
    assert all(f"{name}: " in str(row["errors"]) for name in TASK.classes)
    assert str(row["errors"]).count("->") == 2 * len(TASK.classes)
    assert "uncertainty" not in show_round(campaign.store, 1)
    assert list_rounds(campaign.store)[2]["uncertainty"] == round(new.entropy, 3)


def test_people_see_how_wanted_offers_were_and_the_chosen_ones(campaign: Judged) -> None:
    first, *_, last = campaign.events(Selected)
    assert scores_told(campaign.store, first) == ""  # seeds are drawn by lot
    told = scores_told(campaign.store, last)
    offered, chosen = told.split("; ")
    assert offered.split(",")[0].endswith(" offered")
    quartiles = [[float(n) for n in part.split(", ")[1].split()] for part in (offered, chosen)]
    assert all(line == sorted(line) and len(line) == 5 for line in quartiles)
    assert quartiles[0][0] <= quartiles[1][0] <= quartiles[1][4] <= quartiles[0][4] <= 1
    assert show_round(campaign.store, last.round)["scores"] == told


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((6, 1, 2, 4), "none: 13 items are judged, and it takes 20"),
        ((30, 2, 0, 0), "none: all 32 items that are judged are of one class"),
        ((0, 0, 0, 0), "none: 0 items are judged, and it takes 20"),
    ],
)
def test_of_too_little_nothing_is_calibrated_and_that_is_said(
    counts: tuple[int, ...], said: str
) -> None:
    labels = np.repeat([0, 0, 1, 1], counts)
    shares = np.repeat([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]], counts, axis=0)
    sums = CalibrationSums.of([shares, shares], labels).to_vector()
    whole = np.concatenate([confusion(labels, shares.argmax(axis=1), 2).ravel(), sums])
    event = evaluated(1, LegSums(held_out=whole, random_arm=np.zeros_like(whole)), 2)
    assert (event.temperature, calibration_rows(event)) == (0.0, {"calibration": said})


def test_a_round_of_before_this_was_counted_is_read_and_made_again(campaign: Judged) -> None:
    event = campaign.events(Evaluated)[0]
    kind, body = dump_event(event)
    old = {n: v for n, v in json.loads(body).items() if n not in ("calibration", "temperature")}
    assert (read := load_event(kind, json.dumps(old))) == replace(
        event, calibration=(), temperature=0.0
    )
    counts = LegSums(held_out=np.array(event.held_out), random_arm=np.array(event.random_arm))
    assert evaluated(1, counts, 2, trace=event.trace, fates=event.fates) == read
    assert calibration_rows(read) == {}  # type: ignore[arg-type]  # an Evaluated


def reply_of(n: int, *, sides: int = 1) -> EvaluateReply:
    """Return what a device, or a cohort of one, says of n items."""
    labels = np.arange(n) % 2
    shares = np.where(labels[:, None] == [[0, 1]], 0.8, 0.2)
    counts = confusion(labels, shares.argmax(axis=1), 2).ravel()
    sums = CalibrationSums.of([shares, shares], labels).to_vector()
    nothing = [np.zeros_like(counts)] * (sides - 1), [np.zeros_like(sums)] * (sides - 1)
    return EvaluateReply(
        round=1,
        confusion=np.concatenate([counts, *nothing[0]]),
        calibration=np.concatenate([sums, *nothing[1]]),
    )


def read(device: DeviceId, reply: EvaluateReply) -> tuple[list[int] | None, int]:
    """Return what is read of a reply to a question about two heads, and how many were dropped."""
    with closing(open_store(None, now=lambda: NOON)) as store:
        inbox = Inbox(store, shapes_of(TASK))
        found = inbox.judged(1, {device: encode(reply)}, heads=2)
        return (found[device].tolist() if found else None), inbox.dropped.total()


def test_a_lie_is_dropped_and_in_a_cohort_calibrates_nothing_and_stops_nothing() -> None:
    good, whole = reply_of(12), reply_of(12, sides=2)
    assert read(ONE, good) == ([*good.confusion.tolist(), *good.calibration.tolist()], 0)
    half = len(whole.calibration) // 2
    sides = [*whole.confusion[:4], *whole.calibration[:half], *whole.confusion[4:]]
    assert read(COHORT, whole) == ([*map(int, sides), *whole.calibration[half:].tolist()], 0)
    for spoil in (lambda v: v * 2, lambda v: v[:-1], lambda v: -v):
        assert read(ONE, replace(good, calibration=spoil(good.calibration))) == (None, 1)
        kept, dropped = read(COHORT, replace(whole, calibration=spoil(whole.calibration)))
        assert kept is not None
        assert (kept[:4], sum(kept), dropped) == (whole.confusion[:4].tolist(), 12, 0)
    # of a program from before, or one judged on nothing
    assert read(ONE, replace(good, calibration=NONE))[0] == [*good.confusion.tolist()] + [0] * 79


def test_a_campaign_that_is_not_set_to_asks_no_such_thing() -> None:
    settings = settings_with(exchanges=2, calibration=CalibrationSettings(measure=False))
    with closing(Campaign(settings)) as made:
        made.run(1)
        (event,) = made.events(Evaluated)
        assert (event.calibration, event.temperature) == ((), 0.0)
        assert "calibration" not in show_round(made.store, 1)
        kinds = [
            decode(blob, EvaluateReply)
            for kind, _, blob in made.network.replies
            if kind is EvaluateRequest
        ]
        assert kinds
        assert not any(len(reply.calibration) for reply in kinds)


def test_the_examples_of_the_guide_run_and_its_settings_are_those_there_are() -> None:
    page = Path(__file__).parents[3] / "docs" / "guide" / "rounds.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert (found.failed, found.attempted >= 7) == (0, True)
    (block,) = re.findall(
        r"```toml\n(\[campaign\.calibration\].*?)```", page.read_text("utf-8"), re.DOTALL
    )
    read = parse_settings(tomllib.loads(block)["campaign"]["calibration"], CalibrationSettings, "a")
    assert read == CalibrationSettings()
