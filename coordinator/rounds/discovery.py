"""Classes the task does not have yet: items that people say fit none, and that look alike."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from coordinator.labels.consensus import NONE_OF_THESE
from coordinator.store.campaign import Store
from coordinator.store.rows import StoredOffer
from strategies.acquisition.duplicates import duplicate_groups

ALIKE_SHARE = 0.25
"""Share of the bits in which two sketches of one group differ at most: an angle of 45 degrees.

Of two items that have nothing to do with each other half of the bits differ; that of 64 it is a
quarter or fewer happens once in 20,000 pairs.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Items that may be a class of their own.

    Attributes:
        items: How many there are.
        devices: On how many devices.
        predicted: What the head took most of them for.
    """

    items: int
    devices: int
    predicted: int

    def told(self, classes: tuple[str, ...]) -> str:
        """Return it in a sentence.

        >>> Suggestion(items=6, devices=3, predicted=1).told(("ham", "spam"))
        "6 items on 3 devices fit no class and look alike (taken for 'spam'): a class of their own?"
        """
        taken = f" (taken for '{classes[self.predicted]}')" if self.predicted >= 0 else ""
        return (
            f"{self.items} items on {self.devices} devices fit no class and look alike{taken}:"
            " a class of their own?"
        )


def suggestions(store: Store, *, least: int) -> list[Suggestion]:
    """Return what may be classes of their own, the largest first.

    Args:
        store: Of the campaign.
        least: So many items must look alike.
    """
    return grouped(_unfit(store), least=least)


def grouped(offers: list[StoredOffer], *, least: int) -> list[Suggestion]:
    """Return the groups of offers that look alike, the largest first.

    Args:
        offers: As items were offered that turned out to fit no class.
        least: Smaller groups are left out.
    """
    lengths = Counter(len(offer.sketch) for offer in offers)
    if not lengths:
        return []
    size = lengths.most_common(1)[0][0]
    alike = [offer for offer in offers if len(offer.sketch) == size]
    sketches = np.frombuffer(b"".join(offer.sketch for offer in alike), dtype=np.uint8)
    groups = duplicate_groups(sketches.reshape(len(alike), size), int(ALIKE_SHARE * 8 * size))
    found = []
    for group in np.unique(groups).tolist():
        members = [alike[place] for place in np.flatnonzero(groups == group)]
        if len(members) >= least:
            taken = Counter(offer.predicted for offer in members).most_common(1)[0][0]
            devices = len({offer.device for offer in members})
            found.append(Suggestion(items=len(members), devices=devices, predicted=taken))
    return sorted(found, key=lambda each: (-each.items, -each.devices, each.predicted))


def _unfit(store: Store) -> list[StoredOffer]:
    """Return the offers of items that fit no class.

    Before there is a head a sketch is of something else, and cannot be compared.
    """
    unfit = {(k.round, k.label.item) for k in store.kept_labels() if k.label.label == NONE_OF_THESE}
    return [
        offer
        for number in sorted({number for number, _ in unfit})
        for offer in store.offers(number, granted=True)
        if (number, offer.item) in unfit and offer.predicted >= 0
    ]
