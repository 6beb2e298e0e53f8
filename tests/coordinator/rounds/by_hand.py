"""A campaign whose people answer only when a test lets them."""

from coordinator.labels.desk import Elsewhere
from coordinator.models.shelf import digest_of
from coordinator.rounds.machine import Phase
from coordinator.rounds.question import Rest
from edge.agent import served_by
from fieldvote.records import MaskedItem
from tests.coordinator.rounds.campaign import (
    SETTINGS,
    Campaign,
    Reader,
    desk_of,
)


class ByHand(Campaign):
    """People answer only when a test lets them."""

    def __init__(self, settings: object = SETTINGS, *, rounds: int = 2) -> None:
        super().__init__(settings, answers_wait_s=3600.0)  # type: ignore[arg-type]  # as given
        self.labeling = Elsewhere()
        self.scheduler = self.started(rounds=rounds)

    def turn(self) -> Rest:
        """Go on until there is nothing to do but to wait; return what for."""
        for _ in range(1000):
            rest = self.scheduler.turn()
            if rest is not None:
                return rest
        raise AssertionError("the campaign never rests")

    def answer(self, most: int | None = None) -> None:
        """Let people answer so many items, all without a number."""
        reader = self.reader if most is None else Lazy(most)
        desk_of(reader).work(self.store)

    def phases(self) -> dict[int, Phase]:
        """Return where every round stands."""
        return {number: state.phase for number, state in self.scheduler.campaign.rounds.items()}


def heads_of(campaign: Campaign) -> set[str]:
    """Return the digests of the heads that devices serve; empty for the task's own model."""
    served = [served_by(pool).model for pool in campaign.fleet.pools.values()]
    return {"" if model is None else digest_of(model) for model in served}


class Lazy(Reader):
    """Answers a few items, and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def answer(self, item: MaskedItem) -> int | None:
        return super().answer(item) if len(self.asked) < self._most else None
