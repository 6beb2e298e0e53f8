"""A bounded pool: what stays, what it is a sample of, and that nothing else notices."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.drifting import layout_of
from edge.items import row_payload
from edge.keeper import Keeper, is_bounded
from edge.keeper_state import STATE, KeeperState, claimed, drawn_by_lot
from edge.keeper_views import ServedHead
from edge.passed import passed
from edge.payload import Payload
from edge.pool import Pool
from edge.selection import is_blank
from edge.settings import PoolSettings
from edge.sums import Installed, adopt
from fieldvote.errors import SettingsError, StoreError
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, SurveyReply, decode
from fieldvote.rights import Rights
from fieldvote.rng import keyed_entropy
from strategies.acquisition.uncertainty import margin_scores
from tests.doubles.agents import Device, build_device
from tests.doubles.machines import (
    EVERYTHING,
    IDS,
    LABEL,
    ROWS,
    TASK,
    device_of,
    first_head,
    survey_request,
)
from tests.doubles.streams import BOUND, come, head, means_of, rows, serve
from tests.doubles.tasks import task_of, text_files


def surveyed(device: Device, number: int, **more: object) -> SurveyReply:
    request = replace(survey_request(round_number=number), **more)  # type: ignore[arg-type]  # fields of a request
    return decode(device.ask(request), SurveyReply)


def unsure(readings: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how unsure the served head is, as a keeper that has seen those others says."""
    served = ServedHead(means_of(), head())
    served.look_at([row_payload(row) for row in among])
    views = served.views([row_payload(row) for row in readings])
    return np.asarray(margin_scores(views.probabilities), dtype=np.float64)


def test_before_there_is_a_head_lots_alone_decide_and_the_pool_stays_small() -> None:
    device = device_of(np.arange(10))
    for day in range(5):
        come(device.pool, rows(50, seed=day), name=day)
        assert len(device.pool) == BOUND.most_items
    state = KeeperState.of(device.pool)
    assert (state.came, state.let_go, state.threshold) == (260, 240, None)
    assert len(drawn_by_lot(device.pool, np.arange(20))) == 20


def test_a_burst_fills_the_places_of_the_unsure_with_the_best_of_what_came_and_no_others() -> None:
    """Through the keeper, in parts, 99 % and more of what choosing from everything would keep."""
    bound = PoolSettings(most_items=60, by_lot=0.25)
    for seed in range(3):
        device = device_of(np.arange(5))
        serve(device, head())
        calm, burst = rows(400, seed=seed), rows(400, seed=9 + seed, shift=0.4)
        everything = np.concatenate([calm, burst, rows(300, seed=50 + seed)])
        means = means_of(bound, seed=seed)
        ids = come(device.pool, everything, means=means, part=64, name=seed)
        assert len(device.pool) == 60
        scores = dict(zip(ids, unsure(everything, ROWS[:5]).tolist(), strict=True))
        stays = device.pool.ids()
        sample = {stays[place] for place in drawn_by_lot(device.pool, np.arange(60)).tolist()}
        assert len(sample) == 15
        kept = [scores[item] for item in stays if item in scores and item not in sample]
        best = sorted((scores[item] for item in ids if item not in sample), reverse=True)
        assert len(kept) >= 43  # of the first five some may be unsure too
        assert sum(kept) >= 0.99 * sum(best[: len(kept)])
        assert KeeperState.of(device.pool).threshold >= np.quantile(list(scores.values()), 0.9)


def test_scores_are_of_the_head_that_is_served_now() -> None:
    device = device_of(np.arange(5))
    serve(device, head())
    come(device.pool, rows(200), name=1)
    serve(device, head(77), serial=4)
    come(device.pool, rows(1, seed=8), name=2)
    places = np.arange(len(device.pool))
    unsure_ones = np.setdiff1d(places, drawn_by_lot(device.pool, places)).tolist()
    served = ServedHead(means_of(), head(77))
    said = served.views([device.pool.payload(place) for place in unsure_ones])
    lowest = margin_scores(said.probabilities).min()
    assert KeeperState.of(device.pool).threshold == pytest.approx(lowest)


def test_what_somebody_has_a_claim_on_stays_beside_the_places() -> None:
    device = device_of()
    told = device.survey(random=6)
    shipped = [offer.item for offer in told.offers[:4]]
    collected = device.collect(shipped)
    device.answers([device.sealed_answer(shipped[0], LABEL[shipped[0]])], first_head(told))
    device.survey(3, random=5)
    held = {device.pool.ids()[place] for place in np.flatnonzero(claimed(device.pool)).tolist()}
    assert len(collected.sealed) == 4
    assert {*shipped} <= held
    for day in range(4):
        come(device.pool, rows(60, seed=day), name=day)
    assert held <= set(device.pool.ids())
    assert len(device.pool) == BOUND.most_items + len(held)
    device.survey(4, random=5)  # what was offered then and not granted may give way now
    come(device.pool, rows(60, seed=9), name=9)
    assert len(device.pool) == BOUND.most_items + int(claimed(device.pool).sum())
    assert {*shipped} <= set(device.pool.ids())


def test_what_is_shipped_while_a_file_is_read_stays() -> None:
    device = device_of()
    keeper = Keeper(device.pool, means_of())
    naming = keyed_entropy(5, "ids")
    keeper.see(
        [naming(16) for _ in range(200)],
        [row_payload(row) for row in rows(200)],
        [Rights.SHIP] * 200,
    )
    shipped = [offer.item for offer in device.survey(random=25).offers[:25]]
    device.collect(shipped)
    keeper.settle()
    assert set(shipped) <= set(device.pool.ids())
    assert (device.pool.column("arm") >= 0).sum() == 25
    assert BOUND.most_items <= len(device.pool) <= BOUND.most_items + 25


def test_an_item_that_was_offered_and_let_go_is_refused_as_one_that_never_was() -> None:
    device = device_of()
    offered = [offer.item for offer in device.survey(random=5).offers]
    device.survey(2, random=0)
    for day in range(6):
        come(device.pool, rows(90, seed=day), name=day)
    gone = [item for item in offered if item not in device.pool.ids()]
    assert gone
    sealed = device.collect(gone[:1]).sealed[0]
    assert (sealed.envelope, sealed.refusal) == (b"", "NotOffered")


def test_votes_count_each_item_once_though_places_move() -> None:
    device = device_of()
    told = surveyed(device, 1, random_offers=0)
    assert told.items == EVERYTHING
    for day in range(3):
        before = set(device.pool.ids())
        come(device.pool, rows(30, seed=day), name=day)
        fresh = [item for item in device.pool.ids() if item not in before]
        told = surveyed(device, 2 + day, random_offers=0)
        assert told.items == len(fresh)
        assert surveyed(device, 20 + day, random_offers=0).items == 0
        assert device.agent.votes.shape[0] == len(device.pool)
    # what is held moved with the items: a device that is opened now holds the same
    ours = device.agent._held
    theirs = type(ours).of(ours.parts)
    assert ours.ids == theirs.ids
    assert ours.votes.tolist() == theirs.votes.tolist()
    assert ours.half.tolist() == theirs.half.tolist()
    assert ours.learner.embeddings.tobytes() == theirs.learner.embeddings.tobytes()


def test_every_item_that_came_is_in_one_histogram_whether_it_stayed_or_not() -> None:
    device, watch = device_of(np.arange(25)), head()
    layout = layout_of(device.agent._held)
    serve(device, watch)
    assert int(surveyed(device, 2, watch=watch).arrivals[0]) == 25
    came = 0
    for day in range(4):
        come(device.pool, rows(40, seed=day), name=day)
        came += 40
        if day == 1:
            continue  # nobody asks, and what is there gives way to what comes
        counts = surveyed(device, 3 + day, watch=watch).arrivals
        assert int(counts[0]) == came
        assert layout.is_exact(counts)
        came = 0
    assert int(surveyed(device, 9, watch=watch).arrivals[0]) == 0
    come(device.pool, rows(40, seed=9), name=9)
    assert surveyed(device, 10).arrivals.tolist() == []
    assert passed(device.pool, TASK, layout).any()


def test_the_random_arm_is_drawn_from_the_sample_and_ranked_offers_from_everything() -> None:
    device, model = device_of(np.arange(10)), head()
    serve(device, model)
    come(device.pool, rows(300))
    sample = drawn_by_lot(device.pool, np.arange(len(device.pool)))
    by_lot = {device.pool.ids()[place] for place in sample.tolist()}
    assert len(by_lot) == 10
    told = surveyed(device, 2, offers=8, random_offers=30, model=model).offers
    drawn = {offer.item for offer in told if offer.arm == ARM_RANDOM}
    ranked = {offer.item for offer in told if offer.arm == ARM_CHOSEN and not is_blank(offer)}
    assert drawn == by_lot
    assert len(ranked - by_lot) == 8


def test_what_may_not_be_shown_has_a_place_by_lot_alone() -> None:
    device = device_of(np.arange(0, 1))
    serve(device, head())
    flags = [Rights.SUM if place % 2 else Rights.SHIP for place in range(200)]
    come(device.pool, rows(200), rights=flags)
    places = np.arange(len(device.pool))
    others = np.setdiff1d(places, drawn_by_lot(device.pool, places))
    assert len(others) == 10
    assert (device.pool.column("rights")[others] == Rights.SHIP.level).all()
    assert (device.pool.column("rights") == Rights.SUM.level).any()


def test_sums_of_a_family_that_was_left_keep_to_their_items() -> None:
    device = device_of(np.arange(30))
    own = Installed(
        task=TASK.digest, family=TASK.family, versions=TASK.versions, classes=TASK.classes
    )
    adopt(device.pool, own)
    surveyed(device, 1, random_offers=0)
    adopt(device.pool, replace(own, task="11" * 32, family="another"))
    come(device.pool, rows(60))
    adopt(device.pool, own)
    names = device.pool.ids()
    summed = {item for item, n in zip(names, device.pool.column("summed"), strict=True) if n}
    assert summed == {item for item in names if item in IDS}
    assert 0 < len(summed) < 30


def test_what_was_to_be_masked_is_made_anew_and_what_was_masked_stays() -> None:
    pool = device_of().pool
    payload = Payload(
        name=b"n",
        sections=(),
        kinds=(),
        counts=(),
        vector=np.zeros(1, dtype=np.int64),
        entering=(),
        pool=b"",
    )
    for day, (roster, stays) in enumerate(((b"", False), (b"r", True))):
        payload.masked_under(roster).keep(pool)
        come(pool, rows(60), name=day)  # places move
        assert (Payload.of(pool) is not None) is stays


def test_positions_of_what_is_gone_are_nobodys() -> None:
    pool = Pool(None)
    pool.add(IDS[:4], [b"a", b"b", b"c", b"d"])
    with pool.changing():
        pool.let_go(np.array([1, 3]))
    pool.add(IDS[4:5], [b"e"])
    assert pool.column("position").tolist() == [0, 2, 4]
    pool.answer(2, 1, 1)
    pool.mark_shipped(1, 0)
    assert pool.column("answer").tolist() == [-1, -1, 1]
    assert pool.column("arm").tolist() == [-1, 0, -1]
    assert [pool.payload(place) for place in range(3)] == pool.payloads() == [b"a", b"c", b"e"]
    pool.purge()
    assert pool.next_position == 0
    pool.close()


def test_nothing_is_let_go_where_the_policy_hides_records_or_labels_are_known() -> None:
    assert is_bounded(TASK, BOUND, evaluates=False)
    assert not is_bounded(TASK, BOUND, evaluates=True)
    assert not is_bounded(TASK, PoolSettings(), evaluates=False)
    hidden = replace(TASK, policy=replace(TASK.policy, privacy=PrivacySettings(unit="record")))
    assert not is_bounded(hidden, BOUND, evaluates=False)


@pytest.mark.parametrize("wrong", [{"most_items": -1}, {"by_lot": 0.0}, {"by_lot": 1.5}])
def test_a_bound_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        PoolSettings(**wrong)  # type: ignore[arg-type]  # a table of fields


def test_a_changed_note_is_refused() -> None:
    device = device_of(np.arange(2))
    for wrong in (b"{", b'{"came": 1, "more": 2}', b"[1]"):
        device.pool.keep_note(STATE, wrong)
        with pytest.raises(StoreError):
            Keeper(device.pool, means_of())


def test_an_agent_goes_on_where_items_went_and_none_came() -> None:
    for device in (device_of(), build_device(task_of(text_files()), [b"win", b"a bus", b"home"])):
        surveyed(device, 1)
        kept = [device.pool.ids()[0], device.pool.ids()[2]]
        with device.pool.changing():
            device.pool.let_go(np.setdiff1d(np.arange(len(device.pool)), [0, 2]))
            KeeperState(came=3, let_go=1).keep(device.pool)
        told = surveyed(device, 2, random_offers=5)
        assert {offer.item for offer in told.offers if not is_blank(offer)} <= set(kept)
        assert device.agent._held.ids == kept
        assert len(device.agent.votes) == 2
