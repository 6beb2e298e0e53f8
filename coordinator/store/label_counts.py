"""What is counted of labels: of which class, drawn how, and how long they took people."""

from sqlalchemy import bindparam, func, select

from coordinator.store.schema import annotation, candidate, label
from coordinator.store.scope import CampaignTables, of

_TIMES = (
    select(annotation.c.annotator, annotation.c.at)
    .where(of(annotation))
    .order_by(annotation.c.at.desc(), annotation.c.annotator)
)
_NEWEST_TIMES = _TIMES.limit(500)
_TIMES_OF = _TIMES.where(of(annotation, "counted"))
_ARMS = (
    select(label.c.item, candidate.c.arm)
    .select_from(
        label.join(
            candidate,
            (label.c.campaign == candidate.c.campaign) & (label.c.item == candidate.c.item),
        )
    )
    .where(of(label), label.c.counted <= bindparam("the_counted"), label.c.label >= 0)
    .order_by(label.c.item)
)
_BY_CLASS = (
    select(label.c.label, func.count().label("count"))
    .where(of(label), label.c.label >= 0)
    .group_by(label.c.label)
)


class LabelCountTables(CampaignTables):
    """Counts over what :class:`~coordinator.store.labels.LabelTables` keeps."""

    def labels_by_class(self) -> dict[int, int]:
        """Return how many labels there are of each class."""
        return {int(row["label"]): int(row["count"]) for row in self._rows(_BY_CLASS)}

    def labeled_arms(self, counted: int) -> list[tuple[bytes, int]]:
        """Return the items whose label counted in this round or before, each with its arm."""
        return [(row["item"], int(row["arm"])) for row in self._rows(_ARMS, the_counted=counted)]

    def answer_times(self, counted: int | None = None) -> list[tuple[str, str]]:
        """Return who answered and when: what a round counted, or the newest answers of all."""
        if counted is None:
            rows = self._rows(_NEWEST_TIMES)
        else:
            rows = self._rows(_TIMES_OF, the_counted=counted)
        return [(row["annotator"], row["at"]) for row in rows]
