"""Messages whose class can be read from their public words alone, so that an annotator is right."""

import numpy as np

from fieldvote.rng import stream

NAME, NUMBER = "Zbigniew", "0170555"
"""What every device's messages hold and no wire may carry: a name, and the start of a number."""

_ORDINARY = (
    *("home", "dinner", "mother", "train", "school", "sleep", "garden", "walk", "weather", "mum"),
    *(
        "kitchen",
        "uncle",
        "morning",
        "tired",
        "movie",
        "coffee",
        "lunch",
        "birthday",
        "bus",
        "rain",
    ),
)
_OFFER = (
    *("prize", "voucher", "discount", "cash", "claim", "bonus", "sale", "deal", "gift", "reward"),
    *("save", "bargain", "cheap", "store", "refund", "unlimited", "exclusive", "offer", "price"),
    "money",
)
_WORDS = (_ORDINARY, _OFFER)


def messages(seed: str, count: int, *, offers: float = 0.4) -> tuple[list[str], list[int]]:
    """Return messages and their classes: three words of a class, among words that tell nothing."""
    rng = stream(1, "messages", seed)
    labels = (np.arange(count) < round(offers * count)).astype(int)
    rng.shuffle(labels)
    texts = []
    for number, label in enumerate(labels):
        first, second, third = rng.choice(_WORDS[label], 3, replace=False)
        person = f"{NAME} at {NUMBER}{number:03d}"
        texts.append(f"please tell {person} about the {first} and the {second} with {third}")
    return texts, labels.tolist()


def read(masked: str) -> int:
    """Return the class of a message from what redaction has left of it."""
    words = set(masked.split())
    found = [len(words & set(known)) for known in _WORDS]
    assert max(found), "no word of any class was let through"
    return int(found[1] > found[0])
