"""Amounts of the ledger: what may be given away, what was, and the refusal in between."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fieldvote.errors import LedgerSpentError
from privacy.dp.amounts import whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was given away; adding two is adding their parts.

    Attributes:
        size_bytes: How many bytes.
        candidates: How many items, redacted or not.
        micro_rho: Millionths of rho, the unit in which privacy is lost by noised sums.
        releases: How many entries say so.
    """

    size_bytes: int = 0
    candidates: int = 0
    micro_rho: int = 0
    releases: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            size_bytes=self.size_bytes + other.size_bytes,
            candidates=self.candidates + other.candidates,
            micro_rho=self.micro_rho + other.micro_rho,
            releases=self.releases + other.releases,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Spent):
    """What was given away in all, and in parts that add up to it.

    Attributes:
        by_kind: By what left.
        by_task: By whom it left for; "" holds what left for no task in particular.
    """

    by_kind: Mapping[str, Spent]
    by_task: Mapping[str, Spent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be given away: by a device over its life, or for one task.

    Attributes:
        candidates: How many items, redacted or not.
        size_bytes: How many bytes of any kind.
        micro_rho: Millionths of rho; 0, the default, lets no noised sum out.
        micro_rho_by_kind: How much of it each kind may take; a kind that is not named may take
            none. Empty where any kind may take all.
    """

    candidates: int
    size_bytes: int
    micro_rho: int = 0
    micro_rho_by_kind: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        whole("candidates", self.candidates)
        whole("size_bytes", self.size_bytes)
        whole("micro_rho", self.micro_rho)
        for kind, amount in self.micro_rho_by_kind.items():
            whole(f"micro_rho of {kind}", amount)
        # a limit that somebody can change afterwards is none
        frozen = MappingProxyType(dict(self.micro_rho_by_kind))
        object.__setattr__(self, "micro_rho_by_kind", frozen)

    def check(self, so_far: Spent, more: Spent, *, of: str = "") -> None:
        """Return if so much more may be given away.

        Args:
            so_far: What was given away under these limits.
            more: What is asked for. An amount of nothing passes even where a limit was lowered
                below what is spent.
            of: Whose limits these are, for the message.

        Raises:
            LedgerSpentError: A limit would be exceeded.
        """
        for what, asked, spent, limit in (
            ("bytes", more.size_bytes, so_far.size_bytes, self.size_bytes),
            ("candidates", more.candidates, so_far.candidates, self.candidates),
            ("micro-rho", more.micro_rho, so_far.micro_rho, self.micro_rho),
        ):
            _check_one(what, asked, spent, limit, of)

    def check_kind(self, kind: str, so_far: Spent, more: Spent, *, of: str = "") -> None:
        """Return if this kind may take so much privacy more.

        Raises:
            LedgerSpentError: Its share would be exceeded.
        """
        if self.micro_rho_by_kind:
            limit = self.micro_rho_by_kind.get(kind, 0)
            _check_one(f"micro-rho of {kind}", more.micro_rho, so_far.micro_rho, limit, of)


def _check_one(what: str, asked: int, spent: int, limit: int, of: str) -> None:
    """Refuse what would exceed one limit."""
    if asked and spent + asked > limit:
        whose = f" of {of}" if of else ""
        raise LedgerSpentError(
            f"{asked} {what} more would make {spent + asked}, the limit{whose} is {limit}"
        )
