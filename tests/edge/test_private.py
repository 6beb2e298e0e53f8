"""Under a privacy policy a device tells nothing but what it was charged for and has noised."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.models.private_start import first_private_model
from coordinator.settings import CampaignSettings
from edge.items import row_payload
from edge.private import _values
from edge.private_door import check_leaving, without_sums
from fieldvote.errors import InputError, LedgerSpentError, RefusalError, StoreError
from fieldvote.heads import EvaluateRequest, HeadModel, VotesRequest
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import HelloReply, HelloRequest, SurveyReply, decode, encode
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.dp.campaign import plan_of, planned_spending, price_of
from strategies.private_statistics import Statistic
from tests.doubles.agents import Device, build_device, gradient_request
from tests.doubles.machines import IDS, LABEL, ROWS, TRUTH
from tests.doubles.tasks import tabular_files, task_of

POLICY = (
    '\n[privacy]\nunit = "record"\nagainst = "outsiders"\ncohort = 10\nrounds = 4\nbound = 3.0\n'
)
ABOUT = ("moments", "votes", "anchors", "gram", "cross", "evaluation")
ONCE = ("moments", "votes", "gram")


def private_task(policy: str = POLICY) -> Task:
    files = tabular_files()
    return task_of({**files, "policy.toml": files["policy.toml"] + policy.encode()})


TASK = private_task()
PRIVACY = TASK.policy.privacy
HEAD = replace(
    first_private_model(TASK, CampaignSettings(name="t")),
    weights=stream(3, "head").integers(-(2**20), 2**20, size=4 * 3),
)


def device_of(task: Task = TASK, *, places: slice = slice(None), gold: bool = False) -> Device:
    rows, ids, truth = ROWS[places], IDS[places], TRUTH[places]
    return build_device(
        task,
        [row_payload(row) for row in rows],
        ids=ids,
        gold=truth.tolist() if gold else None,
        entropy=keyed_entropy(5, "noise"),
    )


def answered(device: Device) -> Device:
    """Return a device whose every second item a person has answered."""
    surveyed = device.survey(random=40)
    shipped = device.collect([offer.item for offer in surveyed.offers][::2])
    device.answers([device.sealed_answer(s.item, LABEL[s.item]) for s in shipped.sealed], HEAD)
    return device


def request(about: str, *, turn: int = 0, model: HeadModel | None = HEAD) -> PrivateRequest:
    return PrivateRequest(round=turn + 1, step=0, about=about, turn=turn, model=model)


def asked(device: Device, about: str, *, turn: int = 0) -> np.ndarray:
    return decode(device.ask(request(about, turn=turn)), PrivateReply).sums


def statistic(about: str) -> Statistic:
    return Statistic.named(
        about,
        functions=len(TASK.functions),
        classes=3,
        width=ROWS.shape[1],
        cap=PRIVACY.cap_votes,
    )


def test_surveys_answers_and_greetings_hold_no_exact_sum():
    device = device_of()
    surveyed = device.survey(random=40)
    shipped = device.collect([offer.item for offer in surveyed.offers])
    answers = [device.sealed_answer(s.item, LABEL[s.item]) for s in shipped.sealed]
    taken = device.answers(answers, HEAD)
    hello = decode(device.ask(HelloRequest(campaign="c")), HelloReply)
    assert len(surveyed.offers) == 40  # outside epsilon, as ever
    assert (surveyed.items, surveyed.voted, hello.items, taken.renewed) == (0, 0, 0, 0)
    for reply in (surveyed, taken):
        for field in dataclasses.fields(reply):
            value = getattr(reply, field.name)
            assert not (isinstance(value, np.ndarray) and value.any()), field.name
    assert taken.accepted == 40


@pytest.mark.parametrize(
    "message",
    [
        gradient_request(HEAD),
        gradient_request(HEAD, epochs=3),
        EvaluateRequest(round=1, model=HEAD),
        VotesRequest(
            round=1,
            step=0,
            about="confidence",
            label_model=np.empty(0),
            copies=b"",
            one_in=1,
        ),
    ],
    ids=["gradient", "local epochs", "exact counts", "votes"],
)
def test_what_would_be_an_exact_sum_is_refused(message: object) -> None:
    device = device_of()
    before = device.ledger.spent.size_bytes
    with pytest.raises((RefusalError, InputError)) as told:
        device.ask(message)
    if "Gradient" in type(message).__name__:
        assert "only the head is trained, by ridge regression" in str(told.value)
    assert device.ledger.spent.size_bytes == before


def test_a_reply_that_the_door_does_not_know_stays():
    @dataclasses.dataclass(frozen=True)
    class NewReply:
        count: int = 7

    with pytest.raises(RefusalError, match="only sums that were charged for"):
        check_leaving(PRIVACY, NewReply())  # type: ignore[arg-type]  # of a program of tomorrow
    leaky = SurveyReply(
        round=1,
        items=0,
        voted=0,
        votes=np.array([1]),
        moments=np.empty(0, dtype=np.int64),
        offers=(),
    )
    with pytest.raises(RefusalError):
        check_leaving(PRIVACY, leaky)
    check_leaving(PRIVACY, without_sums(PRIVACY, leaky))


def test_a_policy_without_noise_answers_no_noised_sum():
    device = device_of(private_task(""))
    with pytest.raises(RefusalError, match="its sums are exact"):
        device.ask(request("votes"))


@pytest.mark.parametrize("about", ABOUT)
def test_asked_twice_it_answers_with_the_same_bytes_and_is_charged_once(about: str) -> None:
    device = answered(device_of())
    first, spent = device.ask(request(about)), device.ledger.spent.micro_rho
    assert device.ask(request(about)) == first
    assert device.ledger.spent.micro_rho == spent > 0


@pytest.mark.parametrize("about", ABOUT)
def test_asked_in_other_words_for_the_same_it_refuses(about: str) -> None:
    device = answered(device_of())
    device.ask(request(about))
    spent = device.ledger.spent.micro_rho
    with pytest.raises(RefusalError, match="released already"):
        device.ask(replace(request(about), step=1))
    assert device.ledger.spent.micro_rho == spent


def test_every_release_is_charged_as_the_policy_says_and_no_more_than_it_has():
    device = answered(device_of())
    for turn in range(PRIVACY.rounds):
        for about in ABOUT:
            if turn == 0 or about not in ONCE:
                before = device.ledger.spent.micro_rho
                asked(device, about, turn=turn)
                charged = device.ledger.spent.micro_rho - before
                price = price_of(PRIVACY, about, turn).micro_rho
                assert 0.97 * price <= charged <= price
    spent = device.ledger.spent.micro_rho
    assert spent <= planned_spending(PRIVACY, PRIVACY.rounds) <= device.ledger.limits.micro_rho
    with pytest.raises(LedgerSpentError, match="for 4 releases of cross"):
        asked(device, "cross", turn=PRIVACY.rounds)
    with pytest.raises(LedgerSpentError, match="for 1 releases of gram"):
        asked(device, "gram", turn=1)


def test_a_pool_that_changed_is_charged_again_and_stopped_by_the_ledger():
    device = device_of()
    asked(device, "gram")
    grown = build_device(TASK, [row_payload(ROWS[0])], pool=device.pool, ids=[b"new item 16 byte"])
    grown.ask(replace(request("gram"), step=1))  # another pool, so it may be released once more
    for turn in range(PRIVACY.rounds - 1):
        asked(grown, "cross", turn=turn)
    with pytest.raises(LedgerSpentError, match="training"):
        asked(grown, "cross", turn=PRIVACY.rounds - 1)


@pytest.mark.parametrize("about", ABOUT)
def test_what_leaves_is_the_exact_sum_and_noise_of_the_planned_size(about: str) -> None:
    device = answered(device_of())
    exact = _values(device.agent._held, request(about))
    plan = plan_of(
        PRIVACY,
        about,
        0,
        l2_squared=statistic(about).l2_squared,
        length=statistic(about).length,
        secure=False,
    )
    added = asked(device, about) - exact * plan.steps
    variance = float(plan.noise.share_variance)
    # chi-square with so many degrees of freedom, wrong once in 10^6 (normal approximation)
    spread = 5.0 * np.sqrt(2.0 / len(exact))
    assert abs(float((added**2).mean()) / variance - 1.0) < max(spread, 0.5)
    assert added.any()


def test_where_single_replies_are_seen_each_device_adds_all_of_the_noise():
    trusted = price_of(PRIVACY, "votes", 0).micro_rho
    found = statistic("votes")
    make = {"l2_squared": found.l2_squared, "length": found.length}
    against = replace(PRIVACY, against="coordinator")
    alone = plan_of(against, "votes", 0, **make, secure=False)
    together = plan_of(against, "votes", 0, **make, secure=True)
    assert alone.noise.micro_rho(l2_squared=alone.l2_squared, length=found.length) <= trusted
    assert (alone.noise.shares, together.noise.shares) == (1, PRIVACY.sure)
    assert alone.stddev == pytest.approx(together.stddev, rel=0.01)  # one share against eight


def test_charged_before_noised_and_a_store_that_fails_lets_nothing_out(monkeypatch):
    device = device_of()

    def dry(_: int) -> bytes:
        raise StoreError("no entropy")

    monkeypatch.setattr(device.outbox, "_entropy", dry)
    with pytest.raises(StoreError):
        device.ask(request("votes"))
    assert device.ledger.spent.micro_rho > 0  # paid, and nothing was told
    other = device_of()
    monkeypatch.setattr(other.pool, "append", lambda _: dry(0))
    with pytest.raises(StoreError):
        other.ask(request("votes"))
    assert other.ledger.spent.micro_rho == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": replace(HEAD, recentre=0.5)}, RefusalError),
        ({"model": None}, InputError),
        ({"model": replace(HEAD, classes=2)}, InputError),
        ({"about": "gradient"}, InputError),
        ({"turn": -1}, InputError),
        ({"reach": 0.0}, InputError),
        ({"reach": float("nan")}, InputError),
        ({"reach": 2.0}, InputError),
        ({"task": "another"}, RefusalError),
        ({"vote_weight": -1.0, "label_model": np.ones(3)}, InputError),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_costs_nothing(change, error) -> None:
    device = answered(device_of())
    with pytest.raises(error):
        device.ask(replace(request("cross"), **change))
    assert device.ledger.spent.micro_rho == 0


def test_a_device_that_only_evaluates_tells_how_right_a_head_is_and_nothing_else():
    device = device_of(gold=True)
    counts = _values(device.agent._held, request("evaluation"))
    assert counts[:9].sum() == len(ROWS)
    assert not counts[9:].any()
    asked(device, "evaluation")
    with pytest.raises(RefusalError, match="only evaluates"):
        asked(device, "gram")


@given(
    st.sampled_from(ABOUT),
    st.lists(st.floats(-30, 30), min_size=3, max_size=3),
    st.integers(0, 2),
    st.integers(-(2**30), 2**30),
    st.floats(0.01, 1.0),
    st.integers(1, 3),
)
@settings(deadline=None, max_examples=30)
def test_one_record_moves_no_sum_by_more_than_what_is_accounted(
    about, row, label, weight, reach, cap
):
    task = private_task(POLICY + f"cap_votes = {cap}\n")
    head = replace(HEAD, weights=np.full(12, weight))
    gold = about == "evaluation"
    with_it = build_device(
        task, [row_payload(np.array(row))], ids=[IDS[0]], gold=[label] if gold else None
    )
    if not gold:
        with_it.pool.answer(0, label, 1)
    moved = _values(with_it.agent._held, replace(request(about, model=head), reach=reach))
    known = Statistic.named(about, functions=len(task.functions), classes=3, width=3, cap=cap)
    assert len(moved) == known.length
    assert sum(int(number) ** 2 for number in moved) <= known.l2_squared


def test_a_message_survives_the_wire():
    sent = replace(request("cross", turn=2), label_model=np.array([0.5]), vote_weight=0.25)
    back = decode(encode(sent), PrivateRequest)
    assert (back.about, back.turn, back.vote_weight) == ("cross", 2, 0.25)
    assert back.model is not None


DEVICE_TASK = private_task(POLICY.replace('"record"', '"device"'))


@pytest.mark.parametrize("about", ["update", "verdict"])
def test_no_device_moves_a_sum_by_more_than_what_is_accounted_for_all_it_has(about: str) -> None:
    for device in (answered(device_of(DEVICE_TASK)), device_of(DEVICE_TASK, gold=True)):
        if about == "update" and device.agent._parts.evaluates:
            continue
        for reach in (1e-6, 0.5, 100.0):
            sent = replace(request(about), reach=reach, epochs=3, l2_per_item=0.1)
            moved = _values(device.agent._held, sent)
            known = Statistic.named(about, functions=2, classes=3, width=3, cap=5)
            assert len(moved) == known.length
            assert 0 < sum(int(number) ** 2 for number in moved) <= known.l2_squared


@pytest.mark.parametrize("about", ABOUT)
def test_a_policy_for_devices_releases_nothing_that_hides_records_only(about: str) -> None:
    device = answered(device_of(DEVICE_TASK))
    with pytest.raises(RefusalError, match="hides one record, the policy one device"):
        device.ask(request(about))
    assert device.ledger.spent.micro_rho == 0
    with pytest.raises(RefusalError, match="hides whole devices"):
        device.ask(gradient_request(HEAD))
