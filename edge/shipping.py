"""Shipping what was granted: only what was offered, each item once, through the outbox."""

from collections.abc import Callable, Mapping

from edge.agent_parts import AgentParts
from edge.selection import unpack_offers
from fieldvote.records import CollectReply, CollectRequest, SealedItem
from fieldvote.rights import Rights


def ship_granted(
    parts: AgentParts, position: Mapping[bytes, int], message: CollectRequest
) -> tuple[CollectReply, Callable[[], None]]:
    """Ship what was granted, if it was offered; return what the pool then remembers.

    Args:
        parts: The device.
        position: Of each item in the pool, by its id.
        message: What is granted.
    """
    pool = parts.pool
    offered = unpack_offers(pool.note("offers") or b"")
    sealed: list[SealedItem] = []
    shipped: list[tuple[int, int]] = []
    arms = pool.column("arm")
    levels = pool.column("rights")
    for item in dict.fromkeys(message.grants):
        place = position.get(item)
        if place is None or item not in offered:
            sealed.append(SealedItem(item=item, envelope=b"", refusal="NotOffered"))
            continue
        if arms[place] >= 0:
            # the first envelope is on its way; the same request again gets it from the journal
            sealed.append(SealedItem(item=item, envelope=b"", refusal="ShippedBefore"))
            continue
        candidate = parts.outbox.ship(
            item,
            pool.payload(place),
            rights=tuple(Rights)[levels[place]],
            round_number=message.round,
        )
        sealed.append(candidate)
        if candidate.envelope:
            shipped.append((place, offered[item]))

    def change() -> None:
        for place, arm in shipped:
            pool.mark_shipped(place, arm)

    return CollectReply(round=message.round, sealed=tuple(sealed)), change
