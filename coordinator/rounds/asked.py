"""What was asked before a round, as it was offered: nothing that looks like it is asked again."""

from dataclasses import replace

from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.store.rows import StoredOffer
from fieldvote.records import ARM_SEED

LABELED = -1
"""Score of an offer whose item has its label; no device sends such a score."""
MOST_REMEMBERED = 4096
"""Labeled items a choice is kept from repeating, the newest; each is some 40 bytes a round."""


def asked_before(store: Store, settings: CampaignSettings, number: int) -> tuple[StoredOffer, ...]:
    """Return what waits for an answer, then what has its label, with LABELED for a score.

    Sketches of before the inputs may have changed say nothing of those of now.

    Args:
        store: Of the campaign.
        settings: Name the rounds after which inputs may have changed.
        number: The round that chooses.
    """
    rules = settings.recipes
    changed = max((n for n in rules.rounds if rules.variants and n < number), default=0)
    waiting: list[StoredOffer] = []
    for earlier in sorted(store.may_cost()):
        if changed < earlier < number:
            waits = {candidate.item for candidate in store.queue(earlier)}
            granted = store.offers(earlier, granted=True)
            waiting += [offer for offer in granted if offer.item in waits]
    labeled = store.asked_offers(since=changed, before=number, most=MOST_REMEMBERED)
    return (*waiting, *(replace(offer, score=LABELED) for offer in labeled))


def is_mark(offer: StoredOffer) -> bool:
    """Return whether an offer only shows what a seed looks like that its device has shipped."""
    return offer.arm == ARM_SEED and offer.score > 0
