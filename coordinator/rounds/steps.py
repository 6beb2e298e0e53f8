"""What each phase of a round does, up to the labels: ask devices, count, say what happened.

A step is taken again and again until it has moved its round; whatever it changes, it changes in one
transaction with the event that tells of it. What follows the labels is in
:mod:`coordinator.rounds.learning`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from coordinator.labels.consensus import disputed
from coordinator.models.totals import model_to_start_from
from coordinator.rounds.allocation import wishes_of
from coordinator.rounds.asked import asked_before
from coordinator.rounds.calibrating import scored_by
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.clock import after, is_over
from coordinator.rounds.drift import DriftWatch
from coordinator.rounds.events import Event, Fitted, Labeled, Opened, Resolved, Selected
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.planning import (
    NO_LIMIT,
    affordable,
    item_seconds,
    labels_key,
    minutes_key,
    money_key,
    spent_seconds,
    to_micro,
)
from coordinator.rounds.question import Question, Rest
from coordinator.rounds.recipes import summed_under
from coordinator.rounds.selection import FLEET, grant, pack_offers, random_offers
from coordinator.rounds.steering import strategy_of
from coordinator.store.budget import Resource
from fieldvote.heads import HeadModel
from fieldvote.records import (
    AnswersRequest,
    CollectRequest,
    DeviceId,
    SurveyRequest,
    encode,
)

_NO_INTEGERS = np.empty(0, dtype=np.int64)


class Steps:
    """The work of a round from its survey to its labels, one method a phase."""

    def __init__(self, parts: Parts, exchanges: Exchanges, record: Callable[[Event], None]) -> None:
        """Keep the parts; record appends an event inside the current transaction."""
        self._parts = parts
        self._exchanges = exchanges
        self._record = record
        self._settings = parts.settings
        self._store = parts.store
        self._drift = DriftWatch(parts, record)

    def survey(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Ask for votes and offers; then choose over the whole fleet at once."""
        if state.exchange is not None and not state.exchange.open:
            self._select(state, campaign, len(state.exchange.came))
            return None
        strategy = strategy_of(state, self._settings)
        seeds = self._settings.seed_offers if strategy == FLEET else 1
        lots = seeds if state.first else self._random_offers(state)
        request = SurveyRequest(
            round=state.number,
            strategy=strategy,
            offers=0 if state.first else self._settings.offers,
            random_offers=lots,
            first=state.first,
            model=scored_by(campaign, self._parts.shelf, self._settings),
            task=self._parts.task.digest,
            watch=self._drift.asked(state, campaign),
            fresh=self._drift.fresh(state, campaign),
            bits=self._settings.sketch_bits,
        )
        blob = encode(request)
        pace = self._settings.pace
        return self._exchanges.step(
            state,
            Question(
                name="survey",
                requests=lambda: {DeviceId(device): blob for device in state.devices},
                count=lambda replies: self._surveyed(state, replies),
                least=1,
                keeps=True,
                share=pace.minimum_share,
                spare=pace.spare_share,
            ),
        )

    def _select(self, state: RoundState, campaign: CampaignState, replies: int) -> None:
        """Choose from the offers that are in; a first round takes seeds of every device."""
        offers = self._store.offers(state.number)
        waiting = asked_before(self._store, self._settings, state.number)
        most = max(min(state.budget, affordable(self._settings, self._store)), 0)
        chosen = grant(
            offers,
            replace(self._settings, strategy=strategy_of(state, self._settings)),
            number=state.number,
            most=most,
            first=state.first,
            wishes=replace(wishes_of(state, self._settings), pending=waiting),
        )
        items = [offer.item for offer in chosen]
        budget = self._settings.budget
        labels = NO_LIMIT if budget.labels is None else budget.labels
        money = NO_LIMIT if budget.money is None else to_micro(budget.money)
        paid = len(items) * self._settings.labeling.most
        cost = len(items) * to_micro(self._settings.item_price)
        with self._store.transaction():
            if not self._parts.task.policy.privacy.on:
                self._drift.look(state, campaign)
            considered = self._store.keep_artifact(pack_offers(offers))
            pending = self._store.keep_artifact(pack_offers([*waiting])) if waiting else ""
            self._store.grant(state.number, items)
            self._store.reserve(labels_key(state.number), Resource.LABELS, paid, labels)
            self._store.reserve(money_key(state.number), Resource.MONEY, cost, money)
            if budget.minutes is not None:
                key, limit = minutes_key(state.number), round(budget.minutes * 60)
                asked = len(items) * item_seconds(self._store, self._settings)
                self._store.reserve(key, Resource.MINUTES, asked, limit)
            self._record(
                Selected(
                    round=state.number,
                    replies=replies,
                    considered=considered,
                    items=tuple(item.hex() for item in items),
                    most=most,
                    pending=pending,
                )
            )

    def collect(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Ask for the chosen items; then the people who label have them."""
        if state.exchange is not None and not state.exchange.open:
            self._open(state)
            return None
        grants: dict[DeviceId, list[bytes]] = {}
        for offer in self._store.offers(state.number, granted=True):
            grants.setdefault(offer.device, []).append(offer.item)
        requests = {
            device: encode(CollectRequest(round=state.number, grants=tuple(items)))
            for device, items in grants.items()
        }
        return self._exchanges.step(
            state,
            Question(
                name="collect",
                requests=lambda: requests,
                count=lambda replies: self._collected(state, replies),
                keeps=True,
            ),
        )

    def _open(self, state: RoundState) -> None:
        """Say until when answers count in this round."""
        sealed, _ = self._store.candidates(state.number)
        asked = len(self._store.offers(state.number, granted=True))
        now = self._parts.clock.now()
        with self._store.transaction():
            self._record(
                Opened(
                    round=state.number,
                    sealed=sealed,
                    absent=asked - sealed,
                    until=after(now, self._parts.answers_wait_s),
                    at=now.isoformat(),
                )
            )

    def label(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Let people answer, until enough is answered or the time is over."""
        more = self._parts.labeling.work(self._store)
        asked, open_ = self._store.candidates(state.number)
        experts = self._disputed(state)
        enough = asked - open_ + experts >= self._settings.pace.answered_share * asked
        over = is_over(state.until, self._parts.clock.now(), self._parts.answers_wait_s)
        if more and not enough and not over:
            return Rest(
                about=f"people: {asked - open_} of {asked} candidates are answered",
                until=state.until,
            )
        now, rule = self._parts.clock.now(), self._settings.labeling
        until = after(now, rule.expert_wait_s) if experts else ""
        with self._store.transaction():
            self._record(Labeled(round=state.number, open=open_, disputed=experts, until=until))
        return None

    def _disputed(self, state: RoundState) -> int:
        """Return how many of a round's items an expert has to decide."""
        if self._settings.labeling.most == 1:
            return 0
        store = self._store
        return disputed(
            store.queue(state.number), store.open_annotations(), self._settings.labeling
        )

    def resolve(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Wait for an expert where people differ; then count labels and fix the head to start from.

        What has no label by then counts in a later round.
        """
        if state.until and not is_over(
            state.until, self._parts.clock.now(), self._settings.labeling.expert_wait_s
        ):
            more = self._parts.labeling.work(self._store)
            experts = self._disputed(state)
            if more and experts:
                return Rest(
                    about=f"an expert: {experts} candidates are disputed", until=state.until
                )
        if campaign.model:
            base = self._parts.shelf.get(campaign.model)
        else:
            base = model_to_start_from(self._store, self._parts.task, self._settings)
        with self._store.transaction():
            labels, count, cost = self._store.count_labels(state.number)
            # late answers of other rounds are paid with this one's, and may pass what it reserved
            self._store.settle_budget(labels_key(state.number), count, over=True)
            self._store.settle_budget(money_key(state.number), to_micro(cost), over=True)
            if minutes_key(state.number) in self._store.unsettled():
                seconds = spent_seconds(self._store, self._settings, state.number)
                self._store.settle_budget(minutes_key(state.number), seconds, over=True)
            self._record(
                Resolved(
                    round=state.number,
                    answers=count,
                    labels=labels,
                    cost=round(cost, 6),
                    base=self._parts.shelf.put(base),
                    parent=campaign.model,
                )
            )
        return None

    def fit(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Deliver every answer that waits, and add what they bring to the sums."""
        if state.exchange is not None and not state.exchange.open:
            sent = self._store.sent(state.number)
            came = [DeviceId(device) for device in state.exchange.came]
            with self._store.transaction():
                self._record(
                    Fitted(
                        round=state.number,
                        delivered=sum(len(sent.get(device, [])) for device in came),
                        functions=len(self._parts.task.functions),
                    )
                )
            return None
        waiting = self._store.undelivered() if state.exchange is None else {}
        if waiting and self._parts.least_asked > 1:
            # for whom there is an answer is no secret of the sums: everybody is in them
            waiting = {**{device: [] for device in self._parts.training()}, **waiting}
        base = summed_under(self._parts.shelf.get(state.base), self._settings)
        representation = replace(base, weights=_NO_INTEGERS, deep=_NO_INTEGERS)

        def requests() -> dict[DeviceId, bytes]:
            return {
                device: encode(
                    AnswersRequest(
                        round=state.number,
                        answers=tuple(envelope for _, envelope in answers),
                        representation=representation,
                        task=self._parts.task.digest,
                    )
                )
                for device, answers in waiting.items()
            }

        return self._exchanges.step(
            state,
            Question(
                name="answers",
                requests=requests,
                count=lambda replies: self._answered(state.number, replies, base),
                keeps=True,
                carrying=[item for answers in waiting.values() for item, _ in answers],
            ),
        )

    def late(
        self, campaign: CampaignState, number: int, phase: str, replies: Mapping[DeviceId, bytes]
    ) -> None:
        """Count replies to an exchange that is closed, by the rule of its kind.

        Late votes and answers are summed, late candidates wait for people; late offers are not
        chosen from any more, their devices make new ones.
        """
        state = campaign.rounds.get(number, RoundState(number=number))
        match phase:
            case "survey":
                self._surveyed(state, replies)
            case "collect":
                self._collected(state, replies)
            case "answers":
                base = state.base or campaign.model
                under = summed_under(self._parts.shelf.get(base), self._settings)
                self._answered(number, replies, under)
            case _:
                self._parts.inbox.served(number, phase, replies)

    def _collected(self, state: RoundState, replies: Mapping[DeviceId, bytes]) -> tuple[()]:
        """Put candidates away."""
        offers = {o.item: o for o in self._store.offers(state.number, granted=True)}
        urgent = state.kind != "ordinary"
        self._parts.inbox.collect(state.number, replies, offers, urgent=urgent)
        return ()

    def _answered(
        self, number: int, replies: Mapping[DeviceId, bytes], base: HeadModel
    ) -> tuple[()]:
        """Add what answers brought, as sums over inputs of this head."""
        width = len(base.weights) // base.classes
        self._parts.inbox.answers(number, replies, self._store.sent(number), width=width)
        return ()

    def _surveyed(self, state: RoundState, replies: Mapping[DeviceId, bytes]) -> tuple[()]:
        """Add votes and histograms up, and keep offers."""
        self._parts.inbox.survey(state.number, replies, self._drift.sums(state))
        return ()

    def _random_offers(self, state: RoundState) -> int:
        return random_offers(state.budget, self._settings.random_share, len(state.devices))
