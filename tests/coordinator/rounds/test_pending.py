"""What waits for people while the next round is chosen is remembered with the choice."""

from contextlib import closing
from dataclasses import replace

from coordinator.rounds.asked import LABELED
from coordinator.rounds.events import Event, Selected
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.selection import unpack_offers
from coordinator.settings import PaceSettings
from tests.coordinator.rounds.by_hand import ByHand
from tests.coordinator.rounds.campaign import TASK, settings_with


def test_a_round_chosen_while_another_waits_for_people_keeps_what_was_pending() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(open_rounds=2)), rounds=4)) as made:
        made.turn()
        made.answer()
        made.turn()  # two rounds are over, two others wait for people
        selected = made.events(Selected)
        assert [bool(event.pending) for event in selected] == [False, True, True, True]
        remembered = unpack_offers(kept(made, selected[3]))
        waited = {offer.item.hex() for offer in remembered if offer.score != LABELED}
        assert waited == set(selected[2].items)
        assert not waited & set(selected[3].items)
        seeds = {offer.item.hex() for offer in remembered if offer.score == LABELED}
        assert seeds <= {item for event in selected[:2] for item in event.items}


def kept(made: ByHand, event: Selected) -> bytes:
    """Return what was pending when a round was chosen."""
    return made.store.artifact(event.pending)


def test_the_choice_is_made_again_with_what_was_pending_and_not_without() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(open_rounds=2)), rounds=4)) as made:
        made.turn()
        made.answer()
        made.turn()
        made.answer()
        made.turn()
        for event in made.events(Selected):
            steps = reproduce(made.store, TASK, made.settings, made.scheduler.events, event.round)
            assert [step.step for step in steps if not step.same] == []

        def forged(event: Event) -> Event:
            considered = event.considered if isinstance(event, Selected) else ""
            # what could be chosen waits already: near-duplicates of it are not asked
            return replace(event, pending=considered) if isinstance(event, Selected) else event

        events = [forged(event) for event in made.scheduler.events]
        steps = reproduce(made.store, TASK, made.settings, events, 3)
        assert "selection" in [step.step for step in steps if not step.same]
