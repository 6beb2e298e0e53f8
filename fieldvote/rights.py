"""What may be done with an item: the flag its source gives it, and that it keeps on its device."""

from enum import Enum


class Rights(Enum):
    """What the person or contract behind an item allows.

    Each level allows what the one before it does. An item at `NONE` is not taken into a pool: what
    is not there is in no sum, trains nothing, and cannot be shown by mistake.
    """

    NONE = "none"
    """Nothing."""
    SUM = "sum"
    """To be counted in sums with others; nobody is shown it."""
    SHIP = "ship"
    """To be shown to those who label as well, masked."""

    @property
    def level(self) -> int:
        """Its place in the order, from 0; what a pool writes down."""
        return _ORDER.index(self)

    @property
    def may_be_summed(self) -> bool:
        """Whether the item may be counted in sums.

        >>> [rights.may_be_summed for rights in Rights], [rights.may_be_shown for rights in Rights]
        ([False, True, True], [False, False, True])
        """
        return self is not Rights.NONE

    @property
    def may_be_shown(self) -> bool:
        """Whether the item may be shown to those who label."""
        return self is Rights.SHIP


_ORDER = tuple(Rights)
