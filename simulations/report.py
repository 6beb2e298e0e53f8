"""What a rehearsal found out, as one value with a fixed shape on disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from strategies.evaluation import labels_to

TARGETS = (0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One round: labels paid for so far, and the score on held-out devices."""

    round: int
    labels: int
    metric: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelModelReport:
    """How good the probabilistic labels are, judged by truth that only a rehearsal knows.

    Attributes:
        accuracy: Share of voted items on training devices whose most likely class is the true one.
        brier: Brier score over the same items, summed over classes.
        majority_accuracy: The same for a plain majority of the votes.
        coverage: Share of items with at least one vote.
    """

    accuracy: float | None
    brier: float | None
    majority_accuracy: float | None
    coverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GainReport:
    """What choosing has brought over picking at random, when it was last compared.

    Attributes:
        round: In which round.
        labels: Labels of each kind the two heads were trained on beside the seeds.
        per_thousand: Difference of accuracy for each 1,000 labels.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    round: int
    labels: int
    per_thousand: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of one scenario under one seed, a twin with random picks beside it."""

    scenario: str
    seed: int
    engine: str
    strategy: str
    devices: int
    rounds: int
    metric: str
    full_data_metric: float
    own_ceiling_metric: float
    curve: tuple[CurvePoint, ...]
    labels_to: Mapping[str, float | None]
    random_curve: tuple[CurvePoint, ...]
    random_labels_to: Mapping[str, float | None]
    bytes_up: int
    bytes_up_by_kind: Mapping[str, int]
    bytes_down: int
    raw_bytes: int
    epsilon: float | None
    candidates: int
    pii_planted: int
    pii_leaked: int
    label_model: LabelModelReport
    annotator_accuracy: float
    labels_cost: float
    gain: GainReport | None = None
    drift_alarms: tuple[int, ...] = ()
    stopped: str = ""
    wall_s: float
    client_rounds_per_s: float
    peak_rss_mb: int
    sums: str = "exact sums, seen per device"

    def to_json(self) -> str:
        """Return the report as JSON, two spaces in, keys in the order above."""
        return json.dumps(asdict(self), indent=2) + "\n"


def crossings(curve: Sequence[CurvePoint], full: float) -> dict[str, float | None]:
    """Return the labels to each target share of the full-data score; None where never reached."""
    points = [(point.labels, point.metric) for point in curve]
    found = {f"{target:.2f}": labels_to(points, target * full) for target in TARGETS}
    return {name: None if n is None else round(n, 1) for name, n in found.items()}
