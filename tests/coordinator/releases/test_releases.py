"""A release from its proposal to its end, over real agents in a network in memory."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from coordinator.inbox import ANCHORS, MOMENTS, VOTES
from coordinator.releases.asking import ReleaseCommand
from coordinator.releases.ledger import Ledger
from coordinator.releases.machine import Phase
from coordinator.releases.report import Report
from coordinator.releases.views import list_releases, show_release
from coordinator.settings import ReleaseSettings
from coordinator.store.verify import verify
from edge.serving_head import served_by
from fieldvote.records import DeviceId, SurveyRequest
from fieldvote.releases import TrialRequest
from strategies.labeling import AnchorSummary, VoteSummary
from tests.coordinator.releases.signed import (
    A2,
    A_LOW,
    B_HIGH,
    NOISE,
    WRONG,
    A,
    B,
    rule,
    signed,
    task_of,
)
from tests.coordinator.releases.world import FIRST, LIMITS, World
from tests.coordinator.rounds.campaign import SMALL_FILES
from tests.doubles.owner import STRANGER

NEXT = signed((A2, B, A_LOW), 2)
HOLE = rule("hole", "a", above=0.0) + b"[function.contract]\na = {minimum = 90}\n"
RICHER = {**SMALL_FILES, "policy.toml": b"[limits]\ncandidates = 900\n"}


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def summed_votes(world: World) -> VoteSummary:
    """Return what rounds read of votes."""
    task = world.task
    vector = world.store.total(VOTES)
    assert vector is not None
    return VoteSummary.from_vector(vector, functions=len(task.functions), classes=2)


def surveyed(world: World) -> None:
    """Go on to the first round's labels."""
    world.run(lambda: world.store.total(VOTES) is not None)


def test_a_release_is_tried_promoted_by_a_person_delivered_and_voted_with(world: World) -> None:
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    exchange = world.newest.exchange
    assert exchange is not None
    # half of the four training devices were asked, and nobody else
    tried = exchange.came
    assert len(tried) == 2
    kinds = [(device, kind) for kind, device, _ in world.network.replies if kind is TrialRequest]
    assert sorted(kinds) == [(DeviceId(d), TrialRequest) for d in tried]
    live = world.phones[DeviceId(tried[0])].agent.votes.shape
    assert live == (20, 2)  # in shadow: the device goes by its own functions
    world.ask(ReleaseCommand(what="promote", number=1, reason="looks good"))
    world.run()
    assert world.newest.phase is Phase.PROMOTED
    assert (world.newest.by, world.newest.reason) == ("person", "looks good")
    assert world.task.digest == task_of(NEXT).digest
    assert {phone.version for phone in world.phones.values()} == {2}
    # rounds turned under both tasks, and the sums of the new one are over all items, each once
    assert world.scheduler.campaign.last == 3
    assert 0 < world.newest.after < 3
    votes = [p.agent.votes for p in world.phones.values() if not p.evaluates]
    assert summed_votes(world) == VoteSummary.from_votes(np.concatenate(votes), classes=2)
    assert verify(world.store.database).faults == ()


def test_what_depends_on_no_function_is_summed_once_across_releases(world: World) -> None:
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    before = world.store.total(MOMENTS)
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run()
    after = world.store.total(MOMENTS)
    assert before is not None
    assert after is not None
    assert before.tolist() == after.tolist()
    serials = [served_by(phone.pool).serial for phone in world.phones.values()]
    assert min(serials) > 0  # heads of the rounds went on being served


def test_answers_given_before_a_release_anchor_its_functions_too(world: World) -> None:
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run()
    vector = world.store.total(ANCHORS)
    assert vector is not None
    found = AnchorSummary.from_vector(vector, functions=3, classes=2)
    expected = AnchorSummary.empty(functions=3, classes=2)
    for phone in world.phones.values():
        answers = phone.pool.column("answer")
        places = np.flatnonzero((answers >= 0) & (phone.pool.column("anchored") > 0))
        if len(places):
            votes = phone.agent.votes[places]
            expected += AnchorSummary.from_votes(votes, answers[places], classes=2)
    assert found.items.tolist() == expected.items.tolist()
    assert found.items.sum() > 0
    assert found == expected


def test_a_release_that_breaks_no_limit_is_promoted_by_rule() -> None:
    world = World(limits=ReleaseSettings(share=1.0, auto="promote", least_items=10))
    world.propose(NEXT)
    world.run(lambda: world.ended)
    assert (world.newest.phase, world.newest.by) == (Phase.PROMOTED, "rule")
    assert world.newest.reason == "no limit is broken on 80 items"
    world.close()


def test_with_too_few_items_the_rule_leaves_it_to_a_person() -> None:
    world = World(limits=ReleaseSettings(share=0.5, auto="promote", least_items=41))
    world.propose(NEXT)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    assert "a_is_high was tried on 40 items, 41 are needed" in world.newest.reason
    world.run()
    assert world.newest.phase is Phase.TRIED
    assert world.task.digest == task_of(FIRST).digest
    world.close()


@pytest.mark.parametrize(
    ("functions", "why"),
    [
        ((WRONG, B, A_LOW, B_HIGH), "votes conflict in"),
        ((A, B, A_LOW, B_HIGH, HOLE), "hole cannot answer for 100.0% of items"),
    ],
)  # fmt: skip
def test_a_noisy_or_broken_release_is_rolled_back_by_rule_and_changes_nothing(
    functions: tuple[bytes, ...], why: str
) -> None:
    world = World(
        limits=ReleaseSettings(share=1.0, auto="promote", least_items=1),
        items=200,
        first=signed((A, B, A_LOW, B_HIGH), 1),
    )
    surveyed(world)
    before = summed_votes(world)
    world.propose(signed(functions, 2))
    world.run(lambda: world.ended)
    assert (world.newest.phase, world.newest.by) == (Phase.ROLLED_BACK, "rule")
    assert why in world.newest.reason
    assert any(why in line for line in world.said)
    assert summed_votes(world) == before
    assert {phone.version for phone in world.phones.values()} == {1}
    world.run()
    assert len(world.task.functions) == 4
    world.close()


def test_one_command_drops_a_release_and_the_next_is_not_asked_for_the_same_again() -> None:
    world = World()
    world.propose(NEXT, share=1.0)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    world.ask(ReleaseCommand(what="rollback", number=1, reason="conflicts"))
    world.run(lambda: world.ended)
    assert (world.newest.phase, world.newest.reason) == (Phase.ROLLED_BACK, "conflicts")
    archived = Ledger(world.store, world.task).whole()
    world.propose(signed((A2, B), 3), share=1.0)
    world.run(lambda: world.newest.number == 2 and world.newest.phase is Phase.TRIED)
    # its only new version was summed in the first trial: devices had nothing to add
    report = Report.from_json(world.store.artifact(world.newest.report))
    assert (report.devices, report.items) == (4, 0)
    (changed,) = report.functions
    assert (changed.items, changed.change) == (80, "changed")
    assert changed.coverage is not None
    whole = Ledger(world.store, world.task).whole()
    assert whole.votes == archived.select(whole.versions).votes
    world.close()


def test_what_was_promoted_is_taken_back_by_releasing_the_functions_of_before() -> None:
    world = World(rounds=5, limits=replace(LIMITS, most_conflict_rise=1.0))
    world.propose(NEXT, share=1.0)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    first = summed_votes(world)
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run(lambda: world.newest.phase is Phase.PROMOTED)
    world.ask(ReleaseCommand(what="rollback", number=1))
    world.run(lambda: any("sign the functions of before as version 3" in s for s in world.said))
    world.propose(signed((A, B), 3), share=1.0)
    world.run(lambda: world.newest.number == 2 and world.newest.phase is Phase.TRIED)
    world.ask(ReleaseCommand(what="promote", number=2))
    world.run(lambda: world.newest.number == 2 and world.newest.phase is Phase.PROMOTED)
    # nothing of the old versions was thrown away, and nothing was asked for again
    assert summed_votes(world) == first
    world.run()
    assert summed_votes(world) == first
    assert {phone.version for phone in world.phones.values()} == {3}
    world.close()


def test_retiring_a_function_needs_no_trial_and_asks_no_device(world: World) -> None:
    surveyed(world)
    before = summed_votes(world)
    world.propose(signed((B,), 2))
    world.run(lambda: world.newest.phase is Phase.TRIED)
    assert world.newest.exchange is None
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run(lambda: world.newest.phase is Phase.PROMOTED)
    assert summed_votes(world) == before.select([1])
    world.run()


def test_the_report_tells_what_differs(world: World) -> None:
    world.propose(signed((A2, NOISE), 2), share=1.0)
    world.run(lambda: world.newest.phase in (Phase.TRIED, Phase.ROLLED_BACK))
    row, functions = show_release(world.store)
    assert {each["function"]: each["change"] for each in functions} == {
        "a_is_high": "changed",
        "c_is_high": "new",
        "b_is_low": "retired",
    }
    report = Report.from_json(world.store.artifact(world.newest.report))
    changed = report.functions[0]
    phones = [p for p in world.phones.values() if not p.evaluates]
    votes = np.concatenate([phone.agent.votes for phone in phones])
    # the new bound is lower, so wherever the old one voted the new one does, and says the same
    assert changed.agreement == 1.0
    assert changed.coverage_before == round((votes[:, 0] >= 0).mean(), 6)
    assert changed.coverage is not None
    assert changed.coverage > changed.coverage_before
    assert changed.errors == 0.0
    assert row["devices"] == 4
    assert [each["phase"] for each in list_releases(world.store)] == [world.newest.phase.value]


def test_a_release_nobody_trusts_is_given_up(world: World) -> None:
    world.propose(signed((A2, B), 2, owner=STRANGER))
    world.run(lambda: world.ended)
    assert world.newest.phase is Phase.ROLLED_BACK
    assert "signed by the owner they trust" in world.newest.reason


def test_a_reply_that_is_lost_is_asked_for_again_and_counted_once(world: World) -> None:
    surveyed(world)
    world.propose(NEXT, share=1.0)
    slow = {(DeviceId(1), TrialRequest), (DeviceId(2), TrialRequest)}
    world.network.late |= slow
    world.run(lambda: world.newest.phase is Phase.TRIED)
    assert Ledger(world.store, world.task).whole().seen.tolist() == [80, 80, 40, 40]
    world.network.late -= slow
    world.run(lambda: not world.store.overdue(100))
    assert Ledger(world.store, world.task).whole().seen.tolist() == [80, 80, 80, 80]


def test_sums_that_were_lost_before_a_promotion_are_counted_after_it(world: World) -> None:
    lost = (DeviceId(1), SurveyRequest)
    world.network.late.add(lost)
    world.propose(NEXT, share=0.75)
    world.run(lambda: world.newest.phase is Phase.TRIED)
    world.ask(ReleaseCommand(what="promote", number=1))
    world.run(lambda: world.newest.phase is Phase.PROMOTED)
    assert summed_votes(world).items == 60
    world.network.late.remove(lost)
    world.run()
    votes = [p.agent.votes for p in world.phones.values() if not p.evaluates]
    assert summed_votes(world) == VoteSummary.from_votes(np.concatenate(votes), classes=2)
