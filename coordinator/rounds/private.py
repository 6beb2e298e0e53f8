"""The work of a round under record-level privacy: few questions, each paid for by every device.

It takes the place of agreement, training and evaluation: those ask what devices then refuse. Every
sum holds the noise of all devices that are asked, so all are asked, also those with nothing to add,
and a sum over fewer than the noise was divided among is never read.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import sqrt

import numpy as np

from coordinator.inbox import LABELED
from coordinator.models.totals import Snapshot, read_parameters, write_parameters
from coordinator.models.training import Trained as Solved
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.drift import CountNoise, DriftWatch
from coordinator.rounds.events import (
    Agreed,
    Evaluated,
    Event,
    ExchangeName,
    Snapshotted,
    Trained,
)
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import LegSums, dump_sums, read_sums
from coordinator.rounds.machine import Phase, RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.private_budget import short_reason
from coordinator.rounds.private_sums import (
    PrivateLeg,
    agreement_legs,
    judging_leg,
    kept_as,
    label_model_of_noised,
    next_leg,
    plan_for,
    statistic_of,
)
from coordinator.rounds.question import Question, Rest
from fieldvote.codec import FloatVector
from fieldvote.errors import InputError, RefusalError, UnavailableError
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import DeviceId, decode, encode
from fieldvote.summed_fields import COHORT
from privacy.dp.campaign import policy_of, shares_of
from strategies.private_statistics import cleaned_counts

_LARGEST = 1 << 53
_NO_FLOATS = np.empty(0)


class Private:
    """Agreement, training and evaluation of a campaign that hides records."""

    def __init__(self, parts: Parts, exchanges: Exchanges, record: Callable[[Event], None]) -> None:
        """Keep the parts; record appends an event inside the current transaction.

        Raises:
            RefusalError: the campaign would train deeper than the policy lets it.
        """
        self._parts, self._exchanges, self._record = parts, exchanges, record
        self._task, self._store = parts.task, parts.store
        learner, privacy = parts.settings.learner, parts.task.policy.privacy
        if learner != "summed":
            policy_of(privacy).check_training(layers=learner)
        if learner == "deep":
            raise RefusalError("under a privacy policy only the head is trained, layers are not")
        self._sums: dict[tuple[int, str, int], LegSums] = {}
        self._drift = DriftWatch(parts, record)

    def agree(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Keep the sums; ask for votes, anchors and what is new; fit the label model to them."""
        if not state.inputs:
            self._snapshot(state)
            return None
        snapshot, turn = self._snapshot_of(state), turn_of(state)
        legs = agreement_legs(self._task, snapshot, turn)
        done = len(state.legs)
        if done < len(legs):
            return self._ask(state, "votes", done, legs[done], self._parts.training)
        head = self._drift.noised(state, campaign)
        if head is not None:
            leg = PrivateLeg(about="arrivals", turn=turn, model=head)
            if done == len(legs):
                return self._ask(state, "votes", done, leg, self._parts.training)
            self._look(state, campaign, leg)
            return None
        sums = [self._read(digest) for digest in state.legs[: len(legs)]]
        model = label_model_of_noised(self._task, snapshot, turn, sums)
        with self._store.transaction():
            digest = self._store.keep_artifact(write_parameters(model))
            self._record(Agreed(round=state.number, label_model=digest, exchanges=len(legs)))
        return None

    def _look(self, state: RoundState, campaign: CampaignState, leg: PrivateLeg) -> None:
        """Compare what is new with the rounds before: every device that answered added noise."""
        plan = plan_for(self._task, leg)
        came = len(state.exchange.came) if state.exchange is not None else 1
        noise = CountNoise(steps=plan.steps, stddev=sqrt(plan.noise.share_variance * came))
        with self._store.transaction():
            self._drift.look(state, campaign, noise)

    def train(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Ask for what a ridge head is made of, then make it."""
        base, snapshot = self._parts.shelf.get(state.base), self._snapshot_of(state)
        sums = [self._read(digest) for digest in state.legs]
        found = next_leg(self._task, base, snapshot, turn_of(state), sums)
        if isinstance(found, PrivateLeg):
            return self._ask(state, "train", len(sums), found, self._parts.training)
        self._trained(state, found)
        return None

    def evaluate(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Ask how often the head is right, on devices and items that never train."""
        if state.exchange is None or state.exchange.open:
            model = self._parts.shelf.get(state.model)
            leg = judging_leg(self._task, model, turn_of(state))
            return self._ask(state, "evaluate", 0, leg, self._parts.reachable)
        sums = self._read(state.exchange.sums)
        with self._store.transaction():
            self._record(
                Evaluated(
                    round=state.number,
                    held_out=tuple(sums.held_out.tolist()),
                    random_arm=tuple(sums.random_arm.tolist()),
                )
            )
        return None

    def _snapshot(self, state: RoundState) -> None:
        """Keep the sums, and how many labels there are; later replies belong to later rounds."""
        with self._store.transaction():
            known = self._store.total(LABELED)
            so_far = 0 if known is None else int(known[0])
            more = len(self._store.kept_labels()) - so_far
            self._store.add(LABELED, np.array([more], dtype=np.int64))
            made = Snapshot.of(self._store, self._task, self._parts.settings)
            inputs = self._store.keep_artifact(made.to_bytes())
            self._record(Snapshotted(round=state.number, inputs=inputs))

    def _trained(self, state: RoundState, solved: Solved) -> None:
        """Put the head on the shelf, under the one it was made from."""
        with self._store.transaction():
            self._record(
                Trained(
                    round=state.number,
                    model=self._parts.shelf.put(replace(solved.model, parent=state.parent)),
                    parent=state.parent,
                    exchanges=solved.exchanges,
                )
            )

    def _ask(
        self,
        state: RoundState,
        name: ExchangeName,
        number: int,
        leg: PrivateLeg,
        who: Callable[[], list[DeviceId]],
    ) -> Rest | None:
        """Ask every one of these devices for a leg."""
        key, length = (state.number, name, number), statistic_of(self._task, leg.about).length
        least = shares_of(self._task.policy.privacy, secure=self._task.policy.cohort.secure)
        request = encode(self._request(state, number, leg))

        def requests() -> dict[DeviceId, bytes]:
            devices = who()
            if reason := short_reason(self._task, len(devices)):
                raise UnavailableError(reason)
            return dict.fromkeys(devices, request)

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            return self._count(key, replies, step=number, length=length)

        return self._exchanges.step(
            state,
            Question(
                name=name,
                leg=number,
                requests=requests,
                count=count,
                share=self._parts.settings.pace.minimum_share,
                least=least,
                close=lambda: self._keep(state, key, leg),
            ),
        )

    def _request(self, state: RoundState, number: int, leg: PrivateLeg) -> PrivateRequest:
        """Return the request of a leg."""
        weight, label_model = 0.0, _NO_FLOATS
        if leg.about in ("cross", "update"):
            weight, label_model = self._votes_as_lessons(state)
        return PrivateRequest(
            round=state.number,
            step=number,
            about=leg.about,
            turn=leg.turn,
            model=leg.model,
            reach=leg.reach,
            vote_weight=weight,
            label_model=label_model,
            task=self._task.digest,
            epochs=leg.epochs,
            l2_per_item=self._l2_per_item(state) if leg.epochs else 0.0,
        )

    def _l2_per_item(self, state: RoundState) -> float:
        """Return the penalty of a head that is trained on devices, shared among the labels."""
        labels = self._snapshot_of(state).labeled
        return self._parts.settings.l2 / max(float(labels[0]) if len(labels) else 0.0, 1.0)

    def _votes_as_lessons(self, state: RoundState) -> tuple[float, FloatVector]:
        """Return what votes weigh in this round, and the label model that reads them."""
        snapshot = self._snapshot_of(state)
        weight = snapshot.vote_weight(self._parts.settings, len(self._task.functions))
        kept = self._store.artifact(state.label_model)
        return weight, read_parameters(kept) if weight > 0 else _NO_FLOATS

    def _count(
        self,
        key: tuple[int, str, int],
        replies: Mapping[DeviceId, bytes],
        *,
        step: int,
        length: int,
    ) -> list[DeviceId]:
        """Add up what is a reply to this leg; return whose it is."""
        counted = []
        for device, blob in sorted(replies.items()):
            sums = self._sums_in(blob, number=key[0], step=step, length=length)
            if sums is None:
                self._parts.inbox.dropped["does not fit"] += 1
                continue
            many = self._task.policy.privacy.cohort if device == COHORT else 1
            more = LegSums(held_out=sums, random_arm=np.array([many], dtype=np.int64))
            # one leg at a time: only one round has the model in hand
            self._sums = {key: self._sums[key] + more if key in self._sums else more}
            counted.append(device)
        return counted

    def _sums_in(
        self, blob: bytes, *, number: int, step: int, length: int
    ) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
        """Return the numbers of a reply, None where it does not fit."""
        try:
            reply = decode(blob, PrivateReply)
        except InputError:
            return None
        fits = (reply.round, reply.step, len(reply.sums)) == (number, step, length)
        # one number as large as this would hide what all others say
        return reply.sums if fits and int(np.abs(reply.sums).max()) < _LARGEST else None

    def _keep(self, state: RoundState, key: tuple[int, str, int], leg: PrivateLeg) -> str:
        """Keep what a leg has come to, and what later rounds are to know of it."""
        sums = self._sums[key]
        if leg.about == "arrivals" and (watched := self._drift.sums(state)) is not None:
            self._store.add(watched.name, sums.held_out)
        if leg.about in ("evaluation", "verdict"):
            sums = self._judged(leg, sums)
        for name, vector in kept_as(leg.about, leg.turn, sums, self._task).items():
            self._store.add(name, vector)
        return self._store.keep_artifact(dump_sums(sums))

    def _judged(self, leg: PrivateLeg, sums: LegSums) -> LegSums:
        """Return confusion counts that noise has not made negative."""
        values = sums.held_out / plan_for(self._task, leg).steps
        held_out, random_arm = np.split(cleaned_counts(values), 2)
        return LegSums(held_out=held_out, random_arm=random_arm)

    def _snapshot_of(self, state: RoundState) -> Snapshot:
        """Return the round's kept sums."""
        return Snapshot.from_bytes(self._store.artifact(state.inputs))

    def _read(self, digest: str) -> LegSums:
        """Return what a leg has come to."""
        return read_sums(self._store.artifact(digest))


def private_phases(
    parts: Parts, exchanges: Exchanges, record: Callable[[Event], None]
) -> dict[Phase, Callable[[RoundState, CampaignState], Rest | None]]:
    """Return what takes the place of the phases that ask for exact sums; nothing where they may."""
    if not parts.task.policy.privacy.on:
        return {}
    private = Private(parts, exchanges, record)
    return {
        Phase.SNAPSHOT: private.agree,
        Phase.TRAINING: private.train,
        Phase.EVALUATING: private.evaluate,
    }


def turn_of(state: RoundState) -> int:
    """Return which of the budget's rounds this one is, from 0; one that was given up is spent."""
    return state.number - 1
