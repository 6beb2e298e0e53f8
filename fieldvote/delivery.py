"""What is said while a bundle is on its way to a device: a piece, and how much of it is there.

A piece counts once the device says that it is on its disk; what counts is not sent again, by
whichever connection, run or coordinator comes next.
"""

from dataclasses import dataclass, field

CHUNK_LIMIT = 5 * 2**20
"""Bytes no piece reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """Take this piece of a signed task; without a piece: how much of it do you have?

    Attributes:
        bundle: SHA-256 of the whole, see fieldvote.bundle.
        size: Bytes of the whole.
        offset: Where the piece belongs.
        content: The piece, smaller than CHUNK_LIMIT; empty only asks.
    """

    bundle: bytes
    size: int
    offset: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReply:
    """What a device holds of a bundle, on its disk, when it answers.

    Attributes:
        bundle: The bundle that was asked about.
        have: Bytes from the start that need not be sent again.
        installed: Whether the device serves this bundle's task.
        refusal: Why it takes no more of it; empty while it does.
        missing: Files the bundle leaves out that the device does not hold.
    """

    bundle: bytes
    have: int
    installed: bool
    refusal: str
    missing: tuple[str, ...] = ()
