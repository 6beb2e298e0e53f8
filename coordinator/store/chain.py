"""The chain over a stream: each event's hash covers the one before, so none can be changed alone.

Whoever holds the disk can rewrite a whole chain, and can cut its tail. So an operator keeps a head
(stream, version, hash) somewhere else now and then; `verify` is told of it, and sees both.
"""

from hashlib import sha256

ROOT = bytes(32)
"""What the first event of a stream has before it."""

_DOMAIN = b"fieldvote event 1"


def link(
    previous: bytes, *, campaign: str, stream: str, version: int, kind: str, body: str, at: str
) -> bytes:
    """Return the hash of an event: SHA-256 over the hash before it and all that it says.

    Each part goes in with its length, so no two events can be spelled by the same bytes.

    >>> first = link(ROOT, campaign="a", stream="b", version=0, kind="c", body="d", at="e")
    >>> first == link(ROOT, campaign="ab", stream="", version=0, kind="c", body="d", at="e")
    False
    """
    whole = sha256(_DOMAIN)
    for part in (
        previous,
        campaign.encode(),
        stream.encode(),
        version.to_bytes(8, "big"),
        kind.encode(),
        body.encode(),
        at.encode(),
    ):
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()
