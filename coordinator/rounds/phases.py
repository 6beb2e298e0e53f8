"""Who does the work of which phase of a round."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coordinator.rounds.agreement import Agreement
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Event
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import Judging
from coordinator.rounds.learning import Learning
from coordinator.rounds.legs import Legs
from coordinator.rounds.machine import Phase, RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.private import private_phases
from coordinator.rounds.question import Rest
from coordinator.rounds.recipes import Recipes
from coordinator.rounds.rollout import Rollout
from coordinator.rounds.steps import Steps

Take = Callable[[RoundState, CampaignState], Rest | None]
"""Takes a round a step further; returns what is waited for, None if something happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of rounds.

    Attributes:
        steps: From the survey to the labels.
        learning: From the labels to a judged head.
        rollout: From there to the devices.
        take: What each phase does.
    """

    steps: Steps
    learning: Learning
    rollout: Rollout
    take: Mapping[Phase, Take]


def work_of(parts: Parts, exchanges: Exchanges, record: Callable[[Event], None]) -> Work:
    """Return the work of a campaign's rounds.

    Args:
        parts: What rounds work with.
        exchanges: How devices are asked.
        record: Appends an event inside the current transaction.
    """
    judging = Judging(parts, exchanges)
    legs = Legs(parts=parts, exchanges=exchanges, judging=judging, record=record)
    steps = Steps(parts, exchanges, record)
    agreement, recipes = Agreement(legs), Recipes(legs)
    learning, rollout = Learning(legs), Rollout(legs)
    take: dict[Phase, Take] = {
        Phase.PLANNED: steps.survey,
        Phase.SURVEYING: steps.survey,
        Phase.SELECTED: steps.collect,
        Phase.COLLECTING: steps.collect,
        Phase.LABELING: steps.label,
        Phase.RESOLVING: steps.resolve,
        Phase.FITTING: steps.fit,
        Phase.SNAPSHOT: agreement.step,
        Phase.TRAINING: recipes.before(learning.train),
        Phase.EVALUATING: learning.evaluate,
        Phase.GATE: rollout.gate,
        Phase.CANARY: rollout.canary,
        Phase.ROLLING_OUT: rollout.roll_out,
        **private_phases(parts, exchanges, record),
    }
    return Work(steps=steps, learning=learning, rollout=rollout, take=take)
