"""Releases, rounds and devices that come and go: who waits for whom, and nothing is lost."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.labels.desk import Elsewhere
from coordinator.releases.asking import ReleaseCommand
from coordinator.releases.events import STREAM
from coordinator.releases.ledger import Ledger
from coordinator.releases.machine import Phase
from coordinator.rounds.events import Resolved
from coordinator.rounds.machine import Phase as RoundPhase
from fieldvote.bundle import Bundle
from fieldvote.records import DeviceId
from strategies.labeling import VoteSummary
from tests.coordinator.releases.signed import (
    A2,
    A,
    B,
    signed,
    task_of,
)
from tests.coordinator.releases.test_releases import NEXT, RICHER, summed_votes, surveyed
from tests.coordinator.releases.test_releases import world as world
from tests.coordinator.releases.world import FIRST, LIMITS, World


def test_a_device_that_was_away_during_a_release_loses_nothing(world: World) -> None:
    world.run(lambda: world.scheduler.campaign.last == 1 and not world.scheduler.campaign.open)
    world.network.away.add(DeviceId(2))
    world.propose(NEXT, share=1.0)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run(lambda: world.newest.phase is Phase.PROMOTED)
    world.network.away.clear()
    world.run()
    votes = [p.agent.votes for p in world.phones.values() if not p.evaluates]
    assert world.phones[DeviceId(2)].version == 2
    assert summed_votes(world) == VoteSummary.from_votes(np.concatenate(votes), classes=2)
    assert world.store.overdue(100) == []


def test_no_round_has_two_tasks(world: World) -> None:
    world.run(lambda: bool(world.scheduler.campaign.open))
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run(lambda: world.newest.phase is Phase.PROMOTED)
    after = world.newest.after
    world.run()
    asked = [e for e in world.scheduler.events if isinstance(e, Resolved)]
    assert len(asked) == 3
    kinds = world.store.events(STREAM)
    assert [kind for kind, _ in kinds].count("Promoted") == 1
    assert 1 <= after <= 2


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (signed((A2, B), 1), "version 1 is not newer than 1"),
        (signed((A, B), 2), "there is nothing to release"),
        (signed((A2, B), 2, files=RICHER), "policy.toml differs from the campaign's"),
    ],
)
def test_what_is_no_release_is_refused_in_one_line(world: World, bundle: Bundle, why: str) -> None:
    said = world.refusal(lambda: world.propose(bundle))
    assert why in said
    assert "\n" not in said


def test_a_second_release_waits_for_the_first(world: World) -> None:
    world.propose(NEXT)
    world.run(lambda: world.newest.number == 1)
    assert "release 1 is open" in world.refusal(lambda: world.propose(signed((A2, B), 4)))


def test_a_device_that_was_given_the_release_by_hand_is_counted_by_what_it_runs() -> None:
    world = World(limits=replace(LIMITS, most_conflict_rise=1.0))
    surveyed(world)
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    world.phones[DeviceId(3)].take(NEXT, 2)
    world.run()
    whole = Ledger(world.store, world.task).whole()
    new = [v for v in task_of(NEXT).versions if v not in task_of(FIRST).versions]
    own = world.phones[DeviceId(3)].agent.votes[:, [0, 2]]
    assert whole.select(new).votes.counts.sum() >= (own >= 0).sum()
    world.close()


def test_a_campaign_is_not_finished_while_a_release_is_under_way(world: World) -> None:
    world.run()
    assert not world.releases.busy
    world.propose(NEXT)
    assert not world.scheduler.finished
    world.run()
    assert world.newest.phase is Phase.TRIED


def test_no_round_begins_while_a_release_waits_for_those_under_way() -> None:
    world = World(labeling=Elsewhere(), open_rounds=2)
    world.run(lambda: world.scheduler.state.phase is RoundPhase.LABELING)
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    begun = world.scheduler.campaign.last
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run(lambda: world.newest.phase is Phase.APPROVED)
    world.run(lambda: world.newest.phase is Phase.PROMOTED)
    assert world.newest.after == world.scheduler.campaign.last == begun
    world.run()
    assert world.scheduler.campaign.last == 3
    world.close()
