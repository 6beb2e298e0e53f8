"""What a device tells of new items: each once, in whole histograms, and what it offers of them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.drifting import layout_of, recent
from edge.items import row_payload
from edge.selection import is_blank
from edge.windows import enter_window, windows
from fieldvote.errors import InputError, StoreError
from fieldvote.heads import HeadModel
from fieldvote.records import ARM_CHOSEN, SurveyReply, decode
from fieldvote.rng import stream
from tests.doubles.agents import Device
from tests.doubles.machines import (
    EVERYTHING,
    IDS,
    NAMING,
    ROWS,
    device_of,
    first_head,
    survey_request,
)

HEAD = first_head(device_of().survey(random=1, first=True))
RNG = stream(12, "weights")


def head() -> HeadModel:
    return replace(HEAD, weights=RNG.integers(-(2**20), 2**20, size=len(HEAD.weights)))


def surveyed(device: Device, number: int, watch: HeadModel | None, **more: object) -> SurveyReply:
    request = replace(survey_request(round_number=number), watch=watch, **more)  # type: ignore[arg-type]  # fields of a request
    return decode(device.ask(request), SurveyReply)


def come(device: Device, rows: NDArray[np.float64]) -> list[bytes]:
    """Let items come to a device while it runs."""
    ids = [NAMING(16) for _ in rows]
    device.pool.add(ids, [row_payload(row) for row in rows])
    return ids


def test_every_item_is_counted_once_whatever_is_asked_and_by_which_head() -> None:
    device = device_of(np.arange(30))
    layout = layout_of(device.agent._held)
    whole, first, later = device_of(), head(), head()
    told = [surveyed(device, 2, first).arrivals, surveyed(device, 3, later).arrivals]
    come(device, ROWS[30:])
    told += [surveyed(device, n, first).arrivals for n in (4, 5)]
    assert [int(counts[0]) for counts in told] == [30, 0, EVERYTHING - 30, 0]
    assert all(layout.is_exact(counts) for counts in told)
    # what came later is in a window of its own, and the two add up to what one device would say
    assert (told[0] + told[2]).tolist() == surveyed(whole, 2, first).arrivals.tolist()


def test_who_is_not_asked_tells_nothing_and_goes_on_having_it_to_tell() -> None:
    device = device_of()
    assert len(surveyed(device, 2, None).arrivals) == 0
    assert int(surveyed(device, 3, head()).arrivals[0]) == EVERYTHING


def test_a_survey_that_is_asked_twice_counts_once() -> None:
    device, watch = device_of(), head()
    request = replace(survey_request(round_number=2), watch=watch)
    assert device.ask(request) == device.ask(request)
    assert windows(device.pool) == [(2, EVERYTHING)]


def test_an_aimed_survey_ranks_only_what_is_new_and_draws_from_all() -> None:
    device, watch = device_of(np.arange(25)), head()
    surveyed(device, 2, watch)
    ids = come(device, ROWS[25:])
    surveyed(device, 3, watch)
    later = come(device, ROWS[:4] + 9.0)
    aimed = surveyed(device, 4, watch, fresh=3, offers=40, random_offers=20, model=watch)
    offers = [offer for offer in aimed.offers if not is_blank(offer)]
    ranked = {offer.item for offer in offers if offer.arm == ARM_CHOSEN}
    assert ranked <= {*ids, *later}
    drawn = {offer.item for offer in offers if offer.arm != ARM_CHOSEN}
    assert ranked | drawn >= {*ids, *later}
    assert drawn & set(IDS[:25])


def test_what_was_counted_since_a_round_is_found_from_the_windows() -> None:
    pool = device_of().pool
    free = np.arange(0, EVERYTHING, 2)
    assert recent(pool, free, 5).tolist() == free.tolist()
    for number, end in ((2, 10), (4, 20), (6, 30)):
        enter_window(pool, number, [end - 1])
    assert recent(pool, free, 4).tolist() == [place for place in free.tolist() if place >= 10]
    assert recent(pool, free, 5).tolist() == [place for place in free.tolist() if place >= 20]


def test_a_purge_forgets_the_windows_and_a_changed_note_is_refused() -> None:
    pool = device_of().pool
    enter_window(pool, 2, [3])
    pool.purge()
    assert windows(pool) == []
    enter_window(pool, 2, [3])
    (name,) = [row[0] for row in pool.rows("SELECT name FROM note WHERE name LIKE 'sums in w%'")]
    for wrong in (b"[[1]]", b"{", b'[["a", "b"]]'):
        pool.keep_note(name, wrong)
        with pytest.raises(StoreError):
            windows(pool)


def test_a_head_of_another_task_is_refused_and_nothing_is_counted() -> None:
    device = device_of()
    with pytest.raises(InputError):
        surveyed(
            device, 2, replace(HEAD, classes=2, weights=HEAD.weights[: len(HEAD.mean) * 2 + 2])
        )
    assert windows(device.pool) == []


def test_an_agent_whose_pool_grew_is_one_that_began_with_all_of_it() -> None:
    grown, whole, watch = device_of(np.arange(15)), device_of(), head()
    grown.survey(2, random=1)
    grown.pool.add(IDS[15:], [row_payload(row) for row in ROWS[15:]])
    grown.survey(3, random=1)
    assert grown.agent.votes.tolist() == whole.agent.votes.tolist()
    ours, theirs = (each.agent._held for each in (grown, whole))
    assert ours.ids == theirs.ids
    assert ours.half.tolist() == theirs.half.tolist()
    assert ours.voted.tolist() == theirs.voted.tolist()
    assert ours.learner.embeddings.tobytes() == theirs.learner.embeddings.tobytes()
    mine, others = (each.learner.probabilities(watch) for each in (ours, theirs))
    assert mine.tobytes() == others.tobytes()
