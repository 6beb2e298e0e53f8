"""The whole federated fit, rehearsed over many devices' votes in one process."""

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.conversation import converse
from fieldvote.errors import InputError
from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.exchanges import VoteQuestion, fit_exchanges
from strategies.labeling.kernels import NUMPY, Kernels
from strategies.labeling.model import LabelModel
from strategies.labeling.summary import VoteSummary
from strategies.labeling.votes import checked_votes

_NOBODY = np.empty(0, dtype=np.intp)


def fit_across(
    shards: Sequence[ArrayLike],
    *,
    classes: int,
    rounds: int = 3,
    anchors: AnchorSummary | None = None,
    kernels: Kernels = NUMPY,
) -> LabelModel:
    """Fit over many devices' votes, each touched only by what would run on its device.

    Args:
        shards: One vote matrix per device, (n_i, m); no items is fine. At least one shard.
        classes: Number of classes, k.
        rounds: Exchanges of expected counts at most; 0 is the one-shot fit.
        anchors: The sum of what human answers say about the functions.
        kernels: What does the arithmetic; the result is the same to the bit.

    Returns:
        The same bits however the rows are spread over shards.

    Raises:
        InputError: No shards, or a negative number of rounds.
        ShapeError: Shards or anchors with different functions.
    """
    if not len(shards):
        raise InputError("expected at least one shard")
    devices = [checked_votes(shards[0], classes)]
    functions = devices[0].shape[1]
    devices += [checked_votes(shard, classes, functions=functions) for shard in shards[1:]]
    total = sum(
        (VoteSummary.from_votes(d, classes=classes, kernels=kernels) for d in devices),
        start=VoteSummary.empty(functions=functions, classes=classes),
    )
    laid_out = [kernels.lay_out(device, classes) for device in devices] if rounds else []

    def ask(question: VoteQuestion) -> NDArray[np.int64]:
        answers = (
            question.answer(votes, answered=_NOBODY, labels=_NOBODY, laid_out=laid, kernels=kernels)
            for votes, laid in zip(devices, laid_out, strict=True)
        )
        return reduce(add, answers)

    fit = fit_exchanges(total, anchors=anchors, exchanges=rounds)
    return converse(fit, ask)
