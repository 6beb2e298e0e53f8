"""New items under a privacy policy: noised histograms, each item in one, all paid for as one."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.models.private_start import first_private_model
from coordinator.settings import CampaignSettings
from edge.drifting import layout_of
from edge.items import row_payload
from edge.windows import windows
from fieldvote.errors import InputError, LedgerSpentError, RefusalError
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import ARM_CHOSEN, SurveyReply, decode
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.dp import ledger as ledger_module
from privacy.dp.campaign import plan_of, planned_spending, price_of
from strategies.private_statistics import Statistic
from tests.doubles.agents import Device, build_device
from tests.doubles.machines import EVERYTHING, IDS, ROWS, survey_request
from tests.doubles.tasks import tabular_files, task_of
from tests.privacy.dp.attacks import auc, highest_auc

POLICY = (
    '\n[privacy]\nunit = "record"\nagainst = "outsiders"\ncohort = 1\ndropouts = 0.0\n'
    "corrupt = 0.0\nrounds = 4\nbound = 3.0\n"
    "[privacy.split]\ntraining = 0.5\nsummaries = 0.2\nevaluation = 0.2\nwatch = 0.1\n"
)


def watched_task(policy: str = POLICY) -> Task:
    files = tabular_files()
    return task_of({**files, "policy.toml": files["policy.toml"] + policy.encode()})


TASK = watched_task()
PRIVACY = TASK.policy.privacy
HEAD = replace(
    first_private_model(TASK, CampaignSettings(name="t")),
    weights=stream(3, "head").integers(-(2**20), 2**20, size=4 * 3),
)
PRICE = price_of(PRIVACY, "arrivals", 0).micro_rho
COUNTED = Statistic.named("arrivals", functions=3, classes=3, width=3, cap=PRIVACY.cap_votes)
PLAN = plan_of(
    PRIVACY,
    "arrivals",
    0,
    l2_squared=COUNTED.l2_squared,
    length=COUNTED.length,
    secure=False,
)


def device_of(places: slice = slice(None), *, task: Task = TASK, seed: int = 5) -> Device:
    payloads = [row_payload(row) for row in ROWS[places]]
    noise = keyed_entropy(seed, "noise")
    return build_device(task, payloads, ids=IDS[places], entropy=noise)


def come(device: Device, rows: NDArray[np.float64], seed: int = 8) -> None:
    """Let items come to a device while it runs."""
    naming = keyed_entropy(seed, "come")
    device.pool.add([naming(16) for _ in rows], [row_payload(row) for row in rows])


def asked(device: Device, turn: int) -> NDArray[np.int64]:
    request = PrivateRequest(round=turn + 1, step=2, about="arrivals", turn=turn, model=HEAD)
    return decode(device.ask(request), PrivateReply).sums


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the noise out."""
    monkeypatch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)


@pytest.mark.usefixtures("exact")
def test_an_item_is_in_the_histograms_of_one_round_and_of_no_other_task() -> None:
    device, layout = device_of(slice(30)), layout_of(device_of().agent._held)
    told = [asked(device, 1), asked(device, 2)]
    come(device, ROWS[30:])
    told.append(asked(device, 3))
    assert all(layout.is_exact(counts // PLAN.steps) for counts in told)
    assert [int(counts[0]) for counts in told] == [30 * PLAN.steps, 0, 10 * PLAN.steps]
    # a task of another family has paid for what is new to it, and for nothing else
    other = watched_task(POLICY.replace("bound = 3.0", "bound = 2.0"))
    again = build_device(other, [], pool=device.pool)
    assert not asked(again, 0).any()
    assert windows(device.pool) == []


def test_all_rounds_are_paid_for_as_one_and_the_ledger_names_each() -> None:
    device = device_of()
    for turn in range(PRIVACY.rounds):
        asked(device, turn)
    rows = [entry for entry in device.ledger.entries() if entry.kind == "watch"]
    assert len(rows) == PRIVACY.rounds
    assert 0.97 * PRICE <= rows[0].micro_rho <= PRICE
    assert [row.micro_rho for row in rows[1:]] == [0] * (PRIVACY.rounds - 1)
    assert len({row.subject for row in rows}) == PRIVACY.rounds
    assert device.ledger.spent.micro_rho <= planned_spending(PRIVACY, 4)
    with pytest.raises(LedgerSpentError, match="for 4 releases of arrivals"):
        asked(device, PRIVACY.rounds)


def test_asked_twice_in_a_round_it_says_the_same_or_refuses() -> None:
    device = device_of()
    request = PrivateRequest(round=2, step=2, about="arrivals", turn=1, model=HEAD)
    assert device.ask(request) == device.ask(request)
    with pytest.raises(RefusalError, match="released already"):
        device.ask(replace(request, step=1))
    assert windows(device.pool, noised=True) == [(2, EVERYTHING)]


@pytest.mark.parametrize(
    ("model", "error"),
    [(None, InputError), (replace(HEAD, recentre=0.5), RefusalError)],
    ids=["no head", "a head by which one record moves all"],
)
def test_what_cannot_be_counted_safely_is_refused_and_costs_nothing(
    model: object, error: type[Exception]
) -> None:
    device = device_of()
    request = PrivateRequest(round=2, step=0, about="arrivals", turn=1, model=model)  # type: ignore[arg-type]  # of the table
    with pytest.raises(error):
        device.ask(request)
    assert device.ledger.spent.micro_rho == 0
    assert windows(device.pool, noised=True) == []


def test_a_policy_that_gives_the_watch_nothing_lets_no_histogram_leave() -> None:
    device = device_of(task=watched_task(POLICY.partition("[privacy.split]")[0]))
    with pytest.raises(RefusalError, match=r"privacy\.split\.watch is 0"):
        asked(device, 1)
    told = device.ask(replace(survey_request(round_number=2), watch=HEAD))
    assert len(decode(told, SurveyReply).arrivals) == 0
    assert device.ledger.spent.micro_rho == 0


def test_an_aimed_survey_goes_by_what_was_counted_with_noise() -> None:
    device = device_of(slice(25))
    asked(device, 1)
    come(device, ROWS[25:])
    asked(device, 2)
    wish = replace(survey_request(round_number=4), fresh=3, offers=40, model=HEAD)
    offers = decode(device.ask(wish), SurveyReply).offers
    ranked = {offer.item for offer in offers if offer.arm == ARM_CHOSEN}
    assert ranked
    assert not ranked & set(IDS[:25])


TRIALS = 40


def seen_by(noised: bool) -> float:
    """Return how often who knows all other items tells whether one strange item came, as an AUC.

    The attacker knows what the device would have said without it and which bins it would be in,
    and adds up how much more is in those: the best there is to do against Gaussian noise.
    """
    strange = np.full((1, 3), 4.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)
        told = []
        for with_it in (False, True):
            device = device_of(slice(4))
            if with_it:
                come(device, strange)
            told.append(asked(device, 1))
    way = told[1] - told[0]
    assert way @ way == COUNTED.l2_squared * PLAN.steps**2  # a record moves it as far as is said
    scores, inside = np.empty(TRIALS), np.arange(TRIALS) % 2 == 1
    with pytest.MonkeyPatch.context() as patch:
        if not noised:
            patch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)
        for trial, came in enumerate(inside):
            device = device_of(slice(4), seed=trial)
            if came:
                come(device, strange)
            scores[trial] = (asked(device, 1) - told[0]) @ way
    return auc(scores, inside)


def test_a_single_new_item_shows_in_a_histogram_and_does_not_show_through_the_noise() -> None:
    assert seen_by(noised=False) == 1.0
    bound = highest_auc(PRICE)
    assert bound < 0.6
    assert seen_by(noised=True) < bound + 0.18  # 40 guesses stray by 0.09; seeds are fixed
