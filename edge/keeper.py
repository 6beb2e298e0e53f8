"""A pool that holds no more than it should, whatever comes: what stays is decided in one pass.

Rules it keeps:

- Only items that nobody has a claim on give way. Those that are labeled, known from the start,
  shipped, or offered and perhaps granted stay, and are not counted.
- A share of the places is a random sample of all that came, whatever the head thinks of it. Only
  from these the random arm is drawn, so it stays one that gates and calibration may rest on.
- The other places go to what the served head is least sure of. It scores everything that is here
  with every file that comes, so no score is of an older head; before there is a head, lots decide.
- What is let go was counted as new first, and is gone: no sum ever has it again.
- Where the policy hides records nothing is let go: whether one stays would hang on the others.
- Whatever a file changes is changed in one transaction; until then the new items are in memory,
  never more than the pool may hold and one part of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.drifting import uncounted
from edge.keeper_state import KeeperState, claimed
from edge.keeper_views import AMONG, KeeperMeans, ServedHead, Views
from edge.passed import add_passed
from edge.payload import forget_unmasked
from edge.pool import Pool
from edge.serving_head import served_by
from edge.settings import PoolSettings
from edge.sums import let_go_of_sums
from fieldvote.rights import Rights
from fieldvote.task import Task
from strategies.acquisition.keeping import choose_kept
from strategies.acquisition.uncertainty import margin_scores

_LOT_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One item that came, and has a place so far."""

    id: bytes
    payload: bytes
    rights: Rights


class Keeper:
    """Decides for one file, part by part, what of it and of the pool stays."""

    def __init__(self, pool: Pool, means: KeeperMeans) -> None:
        """Look at what is in the pool and may give way.

        Raises:
            SealError: an item was changed on the disk.
            TaskError: the task's model cannot be loaded.
        """
        self._pool, self._means = pool, means
        state = KeeperState.of(pool)
        self._state = state if state.came else replace(state, came=len(pool))
        lots, without = pool.column("lot").copy(), pool.column("lot") < 0
        self._undrawn = pool.column("position")[without]  # from before the pool was bounded
        lots[without] = self._drawn = self._draw(len(self._undrawn))
        places = np.flatnonzero(~claimed(pool))
        self._candidates = self._positions = pool.column("position")[places]
        model = served_by(pool).model
        self._head = None if model is None else ServedHead(means, model)
        self._gone = None if self._head is None else np.zeros(self._head.layout.length, np.int64)
        self._lots = lots[places]
        self._new = list[Arrived]()
        self._views: Views | None = None
        self._scores = self._score_kept(places)
        self._came = 0

    def _draw(self, count: int) -> NDArray[np.int64]:
        """Return numbers that nobody can foresee."""
        drawn = np.frombuffer(self._means.entropy(_LOT_BYTES * count), dtype="<u8") >> np.uint64(1)
        return drawn.astype(np.int64)

    def _score_kept(self, places: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return how unsure the head is now of what is here; None without a head."""
        if self._head is None:
            return None
        sample = places[self._lots < self._state.below][:AMONG]
        payloads = self._pool.payloads()
        self._head.look_at([payloads[place] for place in sample])
        may = self._pool.column("rights")[places] >= Rights.SHIP.level
        scores = np.full(len(places), -np.inf)
        if may.any():
            asked = [payloads[place] for place in places[may]]
            scores[may] = margin_scores(self._head.views(asked).probabilities)
        return scores

    def see(
        self, ids: Sequence[bytes], payloads: Sequence[bytes], rights: Sequence[Rights]
    ) -> None:
        """Look at a part of what comes; what has no place among the rest is let go."""
        if not ids:
            return
        self._came += len(ids)
        self._new += [
            Arrived(id=item, payload=payload, rights=flag)
            for item, payload, flag in zip(ids, payloads, rights, strict=True)
        ]
        self._lots = np.concatenate([self._lots, self._draw(len(ids))])
        if self._head is not None and self._scores is not None:
            views = self._head.views(payloads)
            self._views = views if self._views is None else self._views.joined(views)
            may = np.array([flag.may_be_shown for flag in rights], dtype=np.bool_)
            scores = np.where(may, margin_scores(views.probabilities), -np.inf)
            self._scores = np.concatenate([self._scores, scores])
        self._cut()

    def _cut(self) -> None:
        """Let go of what has no place any more."""
        bound = self._means.bound
        kept = choose_kept(
            self._lots,
            self._scores,
            most=bound.most_items,
            by_lot=bound.by_lot,
            below=self._state.below,
        )
        threshold = None if np.isinf(kept.threshold) else kept.threshold
        self._state = replace(self._state, below=kept.below, threshold=threshold)
        old = len(self._positions)
        stays, fresh = kept.stays[:old], kept.stays[old:]
        if self._head is not None and self._views is not None and self._gone is not None:
            self._gone += self._head.counted(self._views.at(~fresh))
            self._views = self._views.at(fresh)
        self._positions = self._positions[stays]
        self._new = [item for item, stay in zip(self._new, fresh, strict=True) if stay]
        self._lots = self._lots[kept.stays]
        if self._scores is not None:
            self._scores = self._scores[kept.stays]

    def settle(self) -> tuple[int, int]:
        """Write down what stays, all or nothing; return how many are new and how many let go.

        The caller holds the turn of whoever works with places.

        Raises:
            StoreError: the pool cannot be written; nothing was changed.
        """
        pool, new = self._pool, len(self._new)
        with pool.changing():
            pool.update(
                "UPDATE item SET lot = ? WHERE position = ?",
                list(zip(self._drawn.tolist(), self._undrawn.tolist(), strict=True)),
            )
            gone = self._came - new + self._let_go()
            pool.add(
                [item.id for item in self._new],
                [item.payload for item in self._new],
                rights=[item.rights for item in self._new],
                lots=self._lots[len(self._lots) - new :].tolist(),
            )
            came, let_go = self._state.came + self._came, self._state.let_go + gone
            self._state = replace(self._state, came=came, let_go=let_go)
            self._state.keep(pool)
        return new, gone

    def _let_go(self) -> int:
        """Delete what has no place any more, unless it was claimed meanwhile; return how many."""
        pool = self._pool
        leave = np.setdiff1d(self._candidates, self._positions)
        places = np.flatnonzero(np.isin(pool.column("position"), leave) & ~claimed(pool))
        self._count_last(uncounted(pool, places))
        if len(places):
            stays = np.setdiff1d(np.arange(len(pool)), places)
            forget_unmasked(pool)
            let_go_of_sums(pool, stays)
            pool.let_go(places)
        return len(places)

    def _count_last(self, places: NDArray[np.int64]) -> None:
        """Count what is let go and was never counted, of this file or from the pool."""
        if self._head is None or self._gone is None:
            return
        if len(places):
            payloads = self._pool.payloads()
            views = self._head.views([payloads[place] for place in places.tolist()])
            self._gone += self._head.counted(views)
        if self._gone.any():
            add_passed(self._pool, self._means.task, self._gone)


def is_bounded(task: Task, bound: PoolSettings, *, evaluates: bool) -> bool:
    """Return whether items are let go on a device, and its sums stay what they promise to be.

    Where the policy hides records, one record more must move no other: it would, if it took
    another's place. What a device that only evaluates holds is known from the start.
    """
    return bound.most_items > 0 and not evaluates and not task.policy.privacy.on
