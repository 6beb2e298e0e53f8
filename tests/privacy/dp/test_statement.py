import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from fieldvote.errors import InputError, RefusalError, SignatureError, WireError
from fieldvote.rng import keyed_entropy
from privacy.dp import Accountant, Ledger, Limits, MemoryLedgerStore, Noise
from privacy.dp.statement import read_statement, sign_statement, state
from privacy.sealing import SigningKey

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = SigningKey.generate(keyed_entropy(1, "device"))
LIMITS = Limits(
    candidates=9, size_bytes=900, micro_rho=90_000, micro_rho_by_kind={"training": 50_000}
)


def spent_ledger(store=None):
    ledger = Ledger(store or MemoryLedgerStore(), LIMITS, lambda: NOON, tasks={"birds": LIMITS})
    ledger.charge("candidates", size_bytes=40, candidates=2, task="birds")
    ledger.charge("summaries", size_bytes=7)
    ledger.release(
        "training",
        np.zeros(3, dtype=np.int64),
        noise=Noise(share_variance=Fraction(20)),
        l2_squared=1,
        entropy=keyed_entropy(1, "noise"),
        task="birds",
    )
    return ledger


def signed():
    return sign_statement(state(spent_ledger(), at=NOON, delta=1e-6), KEY)


def test_an_auditor_reads_what_the_device_gave_away():
    ledger = spent_ledger()
    found = read_statement(signed(), public=KEY.public)
    assert found == state(ledger, at=NOON, delta=1e-6)
    assert found.head == ledger.head
    assert (found.spent.size_bytes, found.spent.candidates, found.spent.releases) == (47, 2, 3)
    assert found.by_task["birds"].micro_rho == 25_000
    assert found.limits.micro_rho_by_kind["training"] == 50_000
    exact = Accountant(micro_rho=25_000).epsilon(delta=1e-6)
    assert exact <= found.epsilon < exact + 1e-3
    assert json.loads(signed())["statement"]["tasks"]["birds"]["epsilon"] == f"{found.epsilon:.4f}"


def test_every_change_is_noticed():
    document = json.loads(signed())

    def paths(value, path=()):
        if isinstance(value, dict):
            for key, part in value.items():
                yield from paths(part, (*path, key))
        else:
            yield path

    for path in paths(document["statement"]):
        changed = json.loads(signed())
        place = changed["statement"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = 0 if isinstance(place[path[-1]], int) else "0.0000"
        if changed == document:
            place[path[-1]] = 1
        with pytest.raises(SignatureError):
            read_statement(json.dumps(changed), public=KEY.public)


def test_another_devices_signature_proves_nothing():
    other = SigningKey.generate(keyed_entropy(1, "other"))
    with pytest.raises(SignatureError):
        read_statement(signed(), public=other.public)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"statement": 1}', "x" * (1 << 21), "[" * 99999]
)
def test_what_is_no_statement_is_refused(text):
    with pytest.raises(WireError):
        read_statement(text, public=KEY.public)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"made_at": "yesterday"},
        [],
        7,
    ],
)
def test_a_signed_text_that_is_no_statement_is_refused(body):
    raw = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    signature = KEY.sign(b"fieldvote ledger statement 1\n" + raw).hex()
    with pytest.raises(WireError):
        read_statement(json.dumps({"statement": body, "signature": signature}), public=KEY.public)


def test_a_device_cannot_sign_an_epsilon_that_does_not_follow():
    body = json.loads(signed())["statement"]
    body["spent"]["epsilon"] = "0.0001"
    raw = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    signature = KEY.sign(b"fieldvote ledger statement 1\n" + raw).hex()
    with pytest.raises(SignatureError, match="follow"):
        read_statement(json.dumps({"statement": body, "signature": signature}), public=KEY.public)


def test_a_broken_chain_is_not_stated():
    store = MemoryLedgerStore()
    ledger = spent_ledger(store)
    store._entries.pop(0)
    with pytest.raises(RefusalError):
        state(ledger, at=NOON, delta=1e-6)


@pytest.mark.parametrize("bad", [0.0, float("nan"), 2.0])
def test_a_delta_that_is_none_is_refused(bad):
    with pytest.raises(InputError):
        state(spent_ledger(), at=NOON, delta=bad)
    with pytest.raises(InputError):
        state(spent_ledger(), at=NOON.replace(tzinfo=None), delta=1e-6)


def test_two_statements_show_that_nothing_was_taken_back():
    ledger = spent_ledger()
    before = state(ledger, at=NOON, delta=1e-6)
    ledger.charge("summaries", size_bytes=1)
    after = state(ledger, at=NOON + timedelta(days=1), delta=1e-6)
    assert after.spent.size_bytes == before.spent.size_bytes + 1
    # the earlier head is in the later chain
    assert before.head in {entry.digest for entry in ledger.entries()}
