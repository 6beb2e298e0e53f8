"""What a coordinator that lies is told by real agents: one sentence, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from coordinator.summing_epoch import sizes_of
from fieldvote.errors import RefusalError, SignatureError
from fieldvote.records import DeviceId, encode
from fieldvote.sums import (
    DepositRequest,
    EpochKey,
    EpochRequest,
    SummedRequest,
)
from privacy.sealing import SealingKey
from privacy.secagg import Parameters, make_roster, sign_epoch_key
from privacy.secagg.roster import device_number
from privacy.secagg.survivors import pack_seats
from tests.coordinator.rounds.campaign import Fleet
from tests.coordinator.summing.fleets import make_fleet, signer_of
from tests.coordinator.summing.legs import SURVEY, Liar, refusal

DEVICES = [DeviceId(n) for n in range(1, 13)]
VICTIM = DEVICES[0]


@pytest.fixture(name="liar")
def _liar() -> Iterator[Liar]:
    fleet: Fleet = make_fleet(held_out=1)
    liar = Liar(fleet)
    yield liar
    fleet.close()


def _roster_of(liar: Liar, keys: list[EpochKey], **changes: object) -> object:
    return replace(liar.roster(keys), **changes)


def _ghosts(liar: Liar) -> object:
    ghosts = [
        sign_epoch_key(
            epoch=1,
            device=device_number(signer_of(number).public),
            exchange=SealingKey.generate(lambda size, n=number: bytes([n]) * size).public,
            signer=signer_of(number),
        )
        for number in range(100, 110)
    ]
    return liar.roster([*liar.keys().values(), *ghosts])


def _substituted(liar: Liar) -> object:
    keys = liar.keys()
    mine = SealingKey.generate(lambda size: b"m" * size).public
    keys[DEVICES[3]] = replace(keys[DEVICES[3]], exchange=mine)
    return liar.roster(list(keys.values()))


def _threshold_of_one(liar: Liar) -> object:
    return replace(liar.roster(), threshold=1)


def _laxer_floor(liar: Liar) -> object:
    return replace(liar.roster(), least_cohort=2)


def _quick(liar: Liar) -> object:
    return replace(liar.roster(), robust=False)


def _without_the_victim(liar: Liar) -> object:
    keys = liar.keys()
    del keys[VICTIM]
    return liar.roster(list(keys.values()))


def _twice_the_same(liar: Liar) -> object:
    keys = list(liar.keys().values())
    return liar.roster([*keys, keys[1]])


ROSTERS: dict[str, tuple[Callable[[Liar], object], str]] = {
    "ghosts": (_ghosts, "not in the directory"),
    "a substituted key": (_substituted, "is not signed by it"),
    "a threshold of one": (_threshold_of_one, "a threshold of 1, this device asks for 6"),
    "laxer floors": (_laxer_floor, "cohorts of 2, this device asks for 10"),
    "no confirmation": (_quick, "rounds without confirmation"),
    "nobody's seat": (_without_the_victim, "own key is not in the roster"),
    "a device twice": (_twice_the_same, "twice, or out of order"),
}


@pytest.mark.parametrize("case", ROSTERS)
def test_a_roster_that_lies_is_refused_in_one_sentence(liar: Liar, case: str) -> None:
    make, says = ROSTERS[case]
    assert says in refusal(liar.agents[VICTIM], make(liar))


def test_an_epoch_that_is_over_is_not_begun_again(liar: Liar) -> None:
    liar.enrol()
    assert "epoch 0 after epoch 1" in refusal(liar.agents[VICTIM], EpochRequest(epoch=0))


def test_sizes_too_small_for_the_corrupt_are_refused(liar: Liar) -> None:
    keys = list(liar.keys().values())
    sizes = Parameters(degree=11, least_partners=6, keepers=6, threshold=6)
    roster = make_roster(keys, sizes=sizes, least_cohort=10)
    assert liar.roster(keys).threshold == sizes_of(liar.policy, 12).threshold
    assert "with 2 corrupt devices" in refusal(
        liar.agents[VICTIM], replace(roster, threshold=6, keepers=12)
    )


def _one_alone(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    alone = pack_seats(np.arange(12) == liar.seats[VICTIM])
    return replace(made.mask_request(), cohort=alone)


def _left_out(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    return replace(made.mask_request(), cohort=pack_seats(np.arange(12) != liar.seats[VICTIM]))


def _another_name(liar: Liar) -> object:
    return replace(liar.begin(DEVICES).mask_request(), about=b"something else entirely")


def _too_narrow(liar: Liar) -> object:
    return replace(liar.begin(DEVICES).mask_request(), word_bytes=4)


def _too_small(liar: Liar) -> object:
    return replace(liar.begin(DEVICES).mask_request(), bound=1)


def _too_short(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    return replace(made.mask_request(), length=3)


def _replayed(liar: Liar) -> object:
    liar.begin(DEVICES)
    asked = DepositRequest(roster=liar.epoch.digest, round=liar.rounds - 1)
    return SummedRequest(question=encode(replace(SURVEY, round=2)), deposit=asked)


def _not_open(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    liar.check_in(DEVICES)
    return made.mask_request()


def _alone_at_the_end(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    liar.mask(made, DEVICES)
    return replace(
        made.confirm_request(), survivors=pack_seats(np.arange(12) == liar.seats[VICTIM])
    )


def _somebody_missing(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    liar.mask(made, DEVICES)
    return replace(
        made.confirm_request(), survivors=pack_seats(np.arange(12) != liar.seats[DEVICES[5]])
    )


def _unconfirmed(liar: Liar) -> object:
    made = liar.begin(DEVICES)
    liar.mask(made, DEVICES)
    liar.ask(VICTIM, made.confirm_request())
    return made.unmask_request(liar.seats[VICTIM])


def _opened_again(liar: Liar) -> object:
    liar.total(DEVICES)
    asked = DepositRequest(roster=liar.epoch.digest, round=liar.rounds)
    return SummedRequest(question=encode(SURVEY), deposit=asked)


ROUNDS: dict[str, tuple[Callable[[Liar], object], str]] = {
    "a cohort of one": (_one_alone, "1 devices, fewer than 10"),
    "the victim left out": (_left_out, "left out, though it answered"),
    "another sum's name": (_another_name, "something else than this device checked in for"),
    "words that wrap": (_too_narrow, "can wrap around 4 bytes unseen"),
    "a range that is too small": (_too_small, "passes the bound of 1"),
    "another length": (_too_short, "values has shape"),
    "a round that was": (_replayed, "where 1 may be next"),
    "a round that was left": (_not_open, "is not open on this device"),
    "a survivor alone": (_alone_at_the_end, "lost after it was counted in"),
    "somebody lost": (_somebody_missing, "lost after it was counted in"),
    "a sum nobody confirmed": (_unconfirmed, "1 keepers confirm this survivor set"),
    "the same sum again": (_opened_again, "opened already, and is never twice"),
}


@pytest.mark.parametrize("case", ROUNDS)
def test_a_round_that_lies_is_refused_in_one_sentence(liar: Liar, case: str) -> None:
    liar.enrol()
    make, says = ROUNDS[case]
    assert says in refusal(liar.agents[VICTIM], make(liar))


def test_what_is_refused_leaves_the_device_where_it_was(liar: Liar) -> None:
    liar.enrol()
    made = liar.begin(DEVICES)
    refusal(liar.agents[VICTIM], replace(made.mask_request(), bound=1))
    liar.mask(made, DEVICES)
    assert len(liar.open(made)) == made.mask_request().length


@pytest.mark.parametrize("question", [SURVEY, replace(SURVEY, round=7)])
def test_no_sum_leaves_on_its_own_where_the_policy_asks_for_masks(
    liar: Liar, question: object
) -> None:
    assert "tells none of its own" in refusal(liar.agents[VICTIM], question)


def test_a_device_that_only_evaluates_is_not_surveyed_under_masks_either() -> None:
    fleet = make_fleet(held_out=1)
    judge = fleet.agents[DeviceId(13)]
    message = SummedRequest(question=encode(SURVEY), deposit=None)
    with pytest.raises(RefusalError, match="only evaluates"):
        judge.handle(encode(message))
    fleet.close()


def test_a_device_without_a_directory_takes_no_part() -> None:
    fleet = make_fleet()
    object.__setattr__(fleet.agents[VICTIM]._parts, "secure", None)
    with pytest.raises(RefusalError, match="no directory"):
        fleet.agents[VICTIM].handle(encode(EpochRequest(epoch=1)))
    fleet.close()


def test_errors_of_a_roster_are_of_the_kinds_callers_expect(liar: Liar) -> None:
    with pytest.raises(SignatureError):
        liar.agents[VICTIM].handle(encode(_substituted(liar)))
