"""Answering a survey: sums of what was in no sum yet, and offers of what is free."""

import numpy as np

from edge.delta import vote_delta
from edge.drifting import arrivals, recent
from edge.entering import Change, Entering
from edge.holdings import Holdings
from edge.keeper_state import drawn_by_lot
from edge.legible import legible
from edge.selection import FLEET, OfferWish, make_marks, make_offers, pack_offers
from edge.sums import released
from fieldvote.errors import InputError
from fieldvote.records import ARM_SEED, Offer, SurveyReply, SurveyRequest
from fieldvote.rights import Rights
from strategies.acquisition.sketches import SKETCH_BITS
from strategies.representation import Moments

_NOTHING = np.empty(0, dtype=np.int64)


def survey(held: Holdings, message: SurveyRequest) -> tuple[SurveyReply, Change]:
    """Return sums and offers, and what the pool is to remember once they may leave."""
    held.check_task(message.task)
    pool, task = held.parts.pool, held.parts.task
    delta = vote_delta(released(pool), held.votes, task.versions, classes=held.classes)
    fresh, summed = delta.first, len(delta.places)
    shippable = pool.column("rights") >= Rights.SHIP.level
    free = np.flatnonzero((pool.column("arm") < 0) & (pool.column("answer") < 0) & shippable)
    embeddings, head = held.learner.embeddings, message.model
    counted, entering = arrivals(held, message)
    asked = message.offers + message.random_offers  # blanks never pass what the policy allows
    probabilities = None if head is None else held.learner.probabilities(head)
    features = embeddings if head is None else held.learner.features(head)
    bits = _bits(message.bits)
    among = free
    if message.fresh:
        among = recent(pool, free, message.fresh, noised=task.policy.privacy.on)
    if probabilities is not None and message.strategy == FLEET:
        among = legible(held, among, probabilities, asked)
    offers = make_offers(
        OfferWish(
            strategy=message.strategy,
            chosen=message.offers,
            random=message.random_offers,
            first=message.first,
        ),
        ids=held.ids,
        free=free,
        probabilities=probabilities,
        features=features,
        sketch_seed=held.parts.sketch_seed,
        rng=held.parts.rng("offers", message.round),
        bits=bits,
        drawn=drawn_by_lot(pool, free),
        padded=not message.first and asked <= task.policy.limits.offers,
        among=among,
    )
    marks: tuple[Offer, ...] = ()
    if probabilities is not None and message.strategy == FLEET and not message.first:
        room = max(task.policy.limits.offers - len(offers), 0)
        marks = make_marks(
            np.flatnonzero(pool.column("arm") == ARM_SEED)[:room],
            ids=held.ids,
            probabilities=probabilities,
            features=features,
            sketch_seed=held.parts.sketch_seed,
            bits=bits,
        )
    moments = Moments.from_embeddings(embeddings[fresh]).to_vector() if len(fresh) else _NOTHING
    reply = SurveyReply(
        round=message.round,
        items=len(fresh),
        voted=int(held.voted[fresh].sum()),
        votes=delta.votes.to_vector() if summed else _NOTHING,
        moments=moments,
        offers=(*offers, *marks),
        task=task.digest,
        renewed=delta.renewed,
        arrivals=counted,
    )

    return reply, Change(
        pool=pool,
        # a mark is of an item that is shipped: it may not be asked for
        at_once=lambda: pool.keep_note("offers", pack_offers(offers)),
        entering=(
            Entering(kind="summed", versions=task.versions, places=delta.places),
            *entering,
        ),
    )


def _bits(asked: int) -> int:
    """Return how long sketches are made; a longer one would say more than was decided."""
    if asked % 8 or not 0 <= asked <= SKETCH_BITS:
        raise InputError(f"sketches have a multiple of 8 bits, {SKETCH_BITS} at most, not {asked}")
    return asked or SKETCH_BITS
