"""What becomes of items that people differ about, and what they may cost."""

from contextlib import closing
from datetime import timedelta

from coordinator.labels.desk import Seat
from coordinator.rounds.events import Resolved
from coordinator.rounds.machine import Phase
from coordinator.settings import BudgetSettings, LabelingSettings
from coordinator.store.budget import Resource
from fieldvote.records import MaskedItem
from tests.coordinator.rounds.by_hand import ByHand
from tests.coordinator.rounds.campaign import SETTINGS, Reader, desk_of, settings_with

WAVERING = {"labeling": LabelingSettings(answers=2, expert_wait_s=600.0)}


def differ(campaign: ByHand) -> None:
    """Let two people answer everything, and agree on nothing."""

    class Contrary(Reader):
        def answer(self, item: MaskedItem) -> int | None:
            return 1 - (super().answer(item) or 0)

    seats = (Seat(annotator=Reader(), name="ann"), Seat(annotator=Contrary(), name="bob"))
    desk_of(*seats, settings=campaign.settings).work(campaign.store)


def test_a_round_waits_for_an_expert_where_people_differ() -> None:
    with closing(ByHand(settings_with(**WAVERING), rounds=1)) as made:
        assert made.turn().about.startswith("round 1: people")
        differ(made)
        rest = made.turn()
        assert rest.about == "round 1: an expert: 3 candidates are disputed"
        assert rest.until == (made.clock.now() + timedelta(seconds=600)).isoformat()
        assert made.phases() == {1: Phase.RESOLVING}
        # a coordinator that was just started waits as long
        assert made.started().state.until == rest.until
        boss = Seat(annotator=Reader(), name="boss", expert=True)
        desk_of(boss, settings=made.settings).work(made.store)
        made.turn()
        [event] = made.events(Resolved)
        assert (event.labels, event.answers) == (3, 9)
        assert made.scheduler.finished


def test_an_expert_who_never_comes_holds_no_round_up_and_their_label_counts_later() -> None:
    with closing(ByHand(settings_with(**WAVERING), rounds=2)) as made:
        made.turn()
        differ(made)
        made.turn()
        made.clock.sleep(601)
        made.turn()
        [event] = made.events(Resolved)
        assert (event.labels, event.answers) == (0, 6)
        boss = Seat(annotator=Reader(), name="boss", expert=True)
        desk_of(boss, settings=made.settings).work(made.store)
        made.clock.sleep(3601)
        made.turn()
        later = made.events(Resolved)[-1]
        assert (later.round, later.labels, later.answers) == (2, 3, 3)


def test_what_an_item_may_cost_in_answers_is_reserved() -> None:
    rule = LabelingSettings(answers=2, expert_price=1.0)
    budget = BudgetSettings(labels=8)
    with closing(ByHand(settings_with(labeling=rule, budget=budget), rounds=9)) as made:
        made.turn()
        spending = made.store.budget()
        # two annotators and an expert for each of two items: a third could pass the limit
        assert spending[Resource.LABELS].reserved == 2 * 3
        assert spending[Resource.MONEY].reserved == round(2 * (2 * SETTINGS.price + 1.0) * 1e6)
        differ(made)
        boss = Seat(annotator=Reader(), name="boss", expert=True)
        desk_of(boss, settings=made.settings).work(made.store)
        made.turn()
        assert made.store.budget()[Resource.LABELS].spent == 6
        assert made.turn().about == "the budget for labels is spent"
