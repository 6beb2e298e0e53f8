"""What a device has given away, signed, so that somebody who does not hold the disk can check it.

A statement is one JSON object: what was spent in all and for each task, the limits, how many
entries there are, and the digest of the last, which stands for the whole chain. Two statements of
one device show that nothing was taken back between them: amounts only grow. Names of tasks and
kinds are in it, items are not.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fieldvote.errors import InputError, SignatureError, WireError
from privacy.dp.accountant import Accountant
from privacy.dp.amounts import probability, whole
from privacy.dp.ledger import Ledger
from privacy.dp.spending import Limits, Spent
from privacy.sealing.keys import SigningKey, verify

DOMAIN = b"fieldvote ledger statement 1\n"
MAX_STATEMENT_BYTES = 1 << 20

_AMOUNTS = ("size_bytes", "candidates", "micro_rho", "releases")
_EPSILON_STEPS = 10**4


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a device says of itself.

    Attributes:
        made_at: When, with time zone.
        head: Digest of the last entry.
        spent: In all.
        by_task: For each task.
        by_kind: For each kind of release.
        limits: In all.
        task_limits: For each task.
        delta: What the epsilons are about.
    """

    made_at: datetime
    head: bytes
    spent: Spent
    by_task: Mapping[str, Spent]
    by_kind: Mapping[str, Spent]
    limits: Limits
    task_limits: Mapping[str, Limits]
    delta: float

    @property
    def epsilon(self) -> float:
        """What all releases together amount to, rounded up to four digits."""
        return _epsilon(self.spent, self.delta)


def state(ledger: Ledger, *, at: datetime, delta: float) -> Statement:
    """Return what the ledger says now.

    Args:
        ledger: Its chain is checked once more.
        at: Now, with time zone.
        delta: What epsilon is to be about.

    Raises:
        RefusalError: the chain is broken.
        InputError: the time has no zone, or delta is none.
    """
    probability("delta", delta)
    if at.tzinfo is None:
        raise InputError("a statement's time has a time zone")
    ledger.entries()
    spent = ledger.spent
    return Statement(
        made_at=at,
        head=ledger.head,
        spent=Spent(**{name: getattr(spent, name) for name in _AMOUNTS}),
        by_task=spent.by_task,
        by_kind=spent.by_kind,
        limits=ledger.limits,
        task_limits=ledger.tasks,
        delta=delta,
    )


def sign_statement(statement: Statement, key: SigningKey) -> str:
    """Return the statement as JSON text, signed by the device's key."""
    body = _body(statement)
    signature = key.sign(DOMAIN + _canonical(body))
    signed = {"statement": body, "public_key": key.public.hex(), "signature": signature.hex()}
    return json.dumps(signed, indent=2, sort_keys=True)


def read_statement(text: str, *, public: bytes) -> Statement:
    """Return a statement that the device with this key signed.

    Args:
        text: What `sign_statement` wrote.
        public: The device's public key, from the directory; the one in the text proves nothing.

    Raises:
        SignatureError: another key signed it, or it was changed.
        WireError: it is no statement.
    """
    if len(text) > MAX_STATEMENT_BYTES:
        raise WireError(f"a statement has at most {MAX_STATEMENT_BYTES} characters")
    try:
        signed = json.loads(text)
        body, signature = signed["statement"], bytes.fromhex(signed["signature"])
        checked = _canonical(body)
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise WireError("not a signed statement of a ledger") from err
    verify(signature, DOMAIN + checked, public=public)
    try:
        statement = _statement(body)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as err:
        raise WireError("a signed statement, but not of a ledger as we know it") from err
    if _body(statement) != body:
        raise SignatureError("the statement's sums do not follow from its parts")
    return statement


def _body(statement: Statement) -> dict[str, object]:
    """Return the statement as plain values."""
    return {
        "made_at": statement.made_at.isoformat(),
        "head": statement.head.hex(),
        "delta": repr(statement.delta),
        "spent": _amounts(statement.spent, statement.delta),
        "tasks": {
            name: _amounts(spent, statement.delta) for name, spent in statement.by_task.items()
        },
        "kinds": {
            name: _amounts(spent, statement.delta) for name, spent in statement.by_kind.items()
        },
        "limits": _limits(statement.limits),
        "task_limits": {name: _limits(limits) for name, limits in statement.task_limits.items()},
    }


def _statement(body: Mapping[str, object]) -> Statement:
    """Read plain values back."""
    return Statement(
        made_at=datetime.fromisoformat(str(body["made_at"])),
        head=bytes.fromhex(str(body["head"])),
        delta=float(str(body["delta"])),
        spent=_spent(body["spent"]),
        by_task={name: _spent(part) for name, part in _items(body["tasks"])},
        by_kind={name: _spent(part) for name, part in _items(body["kinds"])},
        limits=_read_limits(body["limits"]),
        task_limits={name: _read_limits(part) for name, part in _items(body["task_limits"])},
    )


def _amounts(spent: Spent, delta: float) -> dict[str, object]:
    """Return amounts as plain values, with what their micro-rho amount to."""
    return {name: getattr(spent, name) for name in _AMOUNTS} | {
        "epsilon": f"{_epsilon(spent, delta):.4f}"
    }


def _limits(limits: Limits) -> dict[str, object]:
    """Return limits as plain values."""
    return {
        "size_bytes": limits.size_bytes,
        "candidates": limits.candidates,
        "micro_rho": limits.micro_rho,
        "micro_rho_by_kind": dict(limits.micro_rho_by_kind),
    }


def _spent(part: object) -> Spent:
    """Read amounts back; what epsilon they say is worked out again."""
    found = dict(_items(part))
    return Spent(**{name: _whole(name, found[name]) for name in _AMOUNTS})


def _read_limits(part: object) -> Limits:
    """Read limits back."""
    found = dict(_items(part))
    return Limits(
        size_bytes=_whole("size_bytes", found["size_bytes"]),
        candidates=_whole("candidates", found["candidates"]),
        micro_rho=_whole("micro_rho", found["micro_rho"]),
        micro_rho_by_kind={
            kind: _whole(kind, amount) for kind, amount in _items(found["micro_rho_by_kind"])
        },
    )


def _items(part: object) -> list[tuple[str, object]]:
    """Return the pairs of a JSON object."""
    if not isinstance(part, dict):
        raise TypeError("not an object")
    return list(part.items())


def _whole(name: str, value: object) -> int:
    """Return a whole number of a JSON object."""
    if not isinstance(value, int):
        raise TypeError(name)
    return whole(name, value)


def _epsilon(spent: Spent, delta: float) -> float:
    """Return what so much rho amounts to, rounded up to four digits."""
    epsilon = Accountant(micro_rho=spent.micro_rho).epsilon(delta=delta)
    return math.ceil(epsilon * _EPSILON_STEPS) / _EPSILON_STEPS


def _canonical(body: object) -> bytes:
    """Return the bytes under the signature: one form for one value."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
