"""How far one unit moves what is released: the squared length that noise is measured against.

All of it is about one record more or less, or one device more or less. Sums that a head is solved
from, and updates, are bounded where they are clipped (`strategies.aggregation`).
"""

from privacy.dp.amounts import whole
from privacy.dp.policy import Unit


def counted_once() -> int:
    """Return l2_squared of a histogram, or a confusion matrix: a record is 1 in one cell.

    >>> counted_once()
    1
    """
    return 1


def of_unit(l2_squared: int, *, unit: Unit, records: int) -> int:
    """Return what a unit moves a sum by, given what a record moves it by.

    Args:
        l2_squared: Of one record.
        unit: What is protected.
        records: How many records of one device enter the sum at most; the device enforces it.

    All records of a device may move the sum the same way, so lengths add up and squares do not:
    a device of 200 records counts 40,000 times as much as one record.

    >>> of_unit(10, unit=Unit.RECORD, records=200), of_unit(10, unit=Unit.DEVICE, records=200)
    (10, 400000)
    """
    whole("l2_squared", l2_squared, least=1)
    whole("records", records, least=1)
    return l2_squared if unit is Unit.RECORD else l2_squared * records**2


def of_votes(cap: int) -> int:
    """Return l2_squared of a vote summary when at most cap functions vote on one record.

    The device cuts the votes on a record down to the cap before it sums them. The numbers sent are
    the items, each function's votes, and co-votes and agreements of each pair. None grows by more
    than 1: 1 + cap + 2 cap (cap - 1) / 2 = 1 + cap².

    >>> of_votes(5)
    26
    """
    return 1 + whole("cap", cap) ** 2
