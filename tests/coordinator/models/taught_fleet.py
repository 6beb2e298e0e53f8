"""A fleet whose truth is known, taught by functions that are honest, planted, or the only voice.

An item has eight measurements, which the model sees, and a column per function with what it is to
vote, which the model does not see. Everything else is that of a campaign.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from coordinator.governance_settings import RetentionSettings
from coordinator.models.backbone import projection_backbone
from coordinator.models.shelf import Shelf
from coordinator.models.trace import Trace
from coordinator.rounds.events import Evaluated
from coordinator.settings import CampaignSettings, InputSettings, ReleaseSettings
from edge.items import row_payload
from edge.learning.learner import Learner
from edge.pool import Pool
from fieldvote.bundle import Bundle
from fieldvote.records import DeviceId, MaskedItem
from fieldvote.rng import stream
from tests.coordinator.releases.signed import signed, task_of
from tests.coordinator.releases.world import World
from tests.coordinator.rounds.campaign import Fleet, desk_of, make_agent

CLASSES = ("calm", "walk", "run", "jump")
WIDTH, FUNCTIONS, TRAINING, JUDGING, ITEMS = 8, 7, 5, 3, 100
MEASURED = tuple(f"x{n}" for n in range(WIDTH))
VOTED = tuple(f"v{n}" for n in range(FUNCTIONS + 1))

SETTINGS = CampaignSettings(
    name="taught",
    seed=3,
    strategy="random",  # so that all campaigns ask about the same items
    surveyed_share=1.0,
    labels_per_device=2,
    random_share=1.0,
    exchanges=12,
    vote_weight=200.0,
    vote_exchanges=0,
    inputs=InputSettings(norm=8.0),
    releases=ReleaseSettings(
        share=1.0, auto="promote", least_items=1, most_conflict_rise=1.0,
        least_accuracy_change=-1.0,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Items of a whole fleet, device after device; the last ones are for the test alone.

    Attributes:
        features: Shape (n, d).
        truth: Shape (n,).
        votes: What each function says, -1 abstains. Shape (n, m).
    """

    features: NDArray[np.float64]
    truth: NDArray[np.int64]
    votes: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.float64]:
        """The items as devices hold them."""
        return np.concatenate([self.features, self.votes], axis=1)


@cache
def made(seed: int) -> Made:
    """Honest functions, right in 65 to 85 % of cases and silent in 65 %; the last is silent."""
    rng = stream(seed, "taught fleet")
    items, k = (TRAINING + JUDGING) * ITEMS + 2000, len(CLASSES)
    truth = rng.integers(k, size=items)
    features = rng.normal(size=(items, WIDTH)) + (1.1 * rng.normal(size=(k, WIDTH)))[truth]
    accuracy = rng.uniform(0.65, 0.85, FUNCTIONS)
    wrong = (truth[:, None] + rng.integers(1, k, (items, FUNCTIONS))) % k
    votes = np.where(rng.random((items, FUNCTIONS)) < accuracy, truth[:, None], wrong)
    votes = np.where(rng.random((items, FUNCTIONS)) < 0.65, -1, votes)
    votes = np.concatenate([votes, np.full((items, 1), -1)], axis=1)
    return Made(features=features, truth=truth, votes=votes)


def with_a_bad_one(honest: Made, seed: int) -> tuple[Made, int]:
    """Plant a function that calls one class by another's name, and knows that other one well."""
    rng = stream(seed, "bad function")
    k, n = len(CLASSES), len(honest.truth)
    mistaken = int(rng.integers(k))
    called = (mistaken + int(rng.integers(1, k))) % k
    votes = np.where(np.isin(honest.truth, (mistaken, called)), called, -1)
    votes = np.where(rng.random(n) < 0.1, -1, votes)
    at = int(rng.integers(FUNCTIONS + 1))
    columns = np.insert(honest.votes[:, :FUNCTIONS], at, votes, axis=1)
    return replace(honest, votes=columns), at


def with_one_voice(honest: Made, label: int) -> Made:
    """Let only the last function ever vote for a class; without it another takes the class over."""
    rng, n = stream(label, "one voice"), len(honest.truth)
    votes, ours = np.where(honest.votes == label, -1, honest.votes), honest.truth == label
    votes[ours] = -1
    votes[:, 0] = np.where(ours & (rng.random(n) < 0.5), (label + 1) % len(CLASSES), votes[:, 0])
    votes[:, FUNCTIONS] = np.where(ours & (rng.random(n) < 0.9), label, -1)
    return replace(honest, votes=votes)


def function(column: int) -> bytes:
    """Return a function that says what its column says."""
    table = ", ".join(f'"{n}" = "{name}"' for n, name in enumerate(CLASSES))
    return (
        f'[[function]]\nid = "f{column}"\nkind = "lookup"\nowner = "test"\n'
        f'field = "v{column}"\ntable = {{ {table} }}\n'
    ).encode()


def release(columns: Sequence[int], version: int) -> Bundle:
    """Return the task with these functions, signed."""
    names = ", ".join(f'"{name}"' for name in (*MEASURED, *VOTED))
    classes = ", ".join(f'"{name}"' for name in CLASSES)
    eye = np.eye(WIDTH + len(VOTED), WIDTH, dtype=np.float32)
    files = {
        "task.toml": (
            f'name = "taught"\nclasses = [{classes}]\n[input]\nkind = "tabular"\n'
            f"fields = [{names}]\n"
        ).encode(),
        "policy.toml": b"[candidates.keep]\nx0 = 2\n",
        "model.onnx": projection_backbone(eye, len(CLASSES)),
    }
    return signed([function(n) for n in columns], version, files=files)


class TaughtFleet(World):
    """A campaign over made items."""

    def __init__(
        self,
        items: Made,
        columns: Sequence[int],
        *,
        settings: CampaignSettings = SETTINGS,
        rounds: int = 2,
    ) -> None:
        first = release(columns, 1)
        self.items, self.truth = items, dict[bytes, int]()
        super().__init__(
            first=first,
            settings=settings,
            rounds=rounds,
            fleet=self._fleet(first),
            training=TRAINING,
            labeling=desk_of(self, settings=settings, task=task_of(first)),
        )

    def _fleet(self, first: Bundle) -> Fleet:
        """Return devices with pools of these items; the last only evaluate."""
        pools, agents, task = {}, {}, task_of(first)
        for number in range(1, TRAINING + JUDGING + 1):
            rng, evaluates = stream(5, "pool", number), number > TRAINING
            ours = slice((number - 1) * ITEMS, number * ITEMS)
            ids = [rng.bytes(16) for _ in range(ITEMS)]
            truth = self.items.truth[ours].tolist()
            self.truth |= dict(zip(ids, truth, strict=True))
            pool = Pool(None)
            pool.add(
                ids,
                [row_payload(row) for row in self.items.rows[ours]],
                gold=truth if evaluates else None,
            )
            device = DeviceId(number)
            pools[device] = pool
            agents[device] = make_agent(pool, number, evaluates, task=task)
        return Fleet(pools, agents)

    def answer(self, item: MaskedItem) -> int | None:
        """Return the truth: what people say is not what this fleet is about."""
        return self.truth[item.item]

    def evaluated(self, number: int) -> Evaluated:
        """Return how the head of a round was judged."""
        events = self.scheduler.events
        return next(e for e in events if isinstance(e, Evaluated) and e.round == number)

    def trace(self, number: int) -> Trace:
        """Return who taught the head of a round."""
        return Trace.from_bytes(self.store.artifact(self.evaluated(number).trace))

    def probabilities(self) -> NDArray[np.float64]:
        """Return what the newest head says of the items that are for the test alone."""
        rest = slice((TRAINING + JUDGING) * ITEMS, None)
        learner = Learner(self.items.features[rest].astype(np.float32), classes=len(CLASSES))
        return learner.probabilities(Shelf(self.store).get(self.scheduler.campaign.model))

    @property
    def open(self) -> bool:
        """Whether a round is under way."""
        return bool(self.scheduler.campaign.open)

    @property
    def accuracy(self) -> float:
        """Share of those items that the newest head gets right."""
        rest = slice((TRAINING + JUDGING) * ITEMS, None)
        right = self.probabilities().argmax(axis=1) == self.items.truth[rest]
        return float(right.mean())


def accuracy_of(
    items: Made,
    columns: Sequence[int],
    *,
    rounds: int = 2,
    settings: CampaignSettings = SETTINGS,
) -> float:
    """Return how good a campaign gets."""
    with closing(TaughtFleet(items, columns, rounds=rounds, settings=settings)) as fleet:
        fleet.run()
        return fleet.accuracy


def retaining(**changes: object) -> CampaignSettings:
    """Return the settings of a campaign that keeps what was known."""
    return replace(SETTINGS, retention=RetentionSettings(**changes))  # type: ignore[arg-type]  # a table of settings
