"""The last look at what leaves under a privacy policy: no exact sum, whoever made it.

What is noised is made in :mod:`edge.private`. Here is what stops the rest, by type and by content:
a reply that this file does not know could hold a sum, and stays.
"""

from dataclasses import fields, replace

import numpy as np

from fieldvote.delivery import BundleReply
from fieldvote.errors import RefusalError
from fieldvote.heads import GradientRequest, ServeReply
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import (
    AnswersReply,
    CollectReply,
    HelloReply,
    Reply,
    Request,
    SurveyReply,
)
from fieldvote.sums import Confirmation, EpochKey, MaskedInput, RosterReply, SummedReply, Unmasking
from privacy.dp.campaign import policy_of

_NOTHING = np.empty(0, dtype=np.int64)

_WITHOUT_SUMS = (HelloReply, SurveyReply, CollectReply, AnswersReply, ServeReply, BundleReply)
# what keeps sums under masks; what is under them has passed this file before it was masked
_MASKED = (EpochKey, RosterReply, SummedReply, MaskedInput, Confirmation, Unmasking)


def check_asked(privacy: PrivacySettings, message: Request) -> None:
    """Return if a request may be answered under the task's policy.

    Raises:
        RefusalError: it asks for a noised sum where none is made, or for a head's gradient where
            single records are hidden: noise on each of many gradients is not in the budget.
    """
    if isinstance(message, PrivateRequest) and not privacy.on:
        raise RefusalError("this task's policy adds no noise: its sums are exact")
    if isinstance(message, GradientRequest) and privacy.on:
        policy_of(privacy).check_training(layers="what a gradient reaches")
        raise RefusalError(
            "the policy hides whole devices: only an update that was cut to a length and noised"
            " leaves this device"
        )


def check_leaving(privacy: PrivacySettings, reply: Reply) -> None:
    """Return if a reply holds no exact sum, or the policy lets one leave.

    Raises:
        RefusalError: it does. This is the last look: without it a program that forgot to add noise
            would tell what the policy promises to hide.
    """
    if not privacy.on or isinstance(reply, PrivateReply):
        return
    vectors = [getattr(reply, field.name) for field in fields(reply)]
    exact = any(isinstance(value, np.ndarray) and bool(value.any()) for value in vectors)
    if exact or not isinstance(reply, (*_WITHOUT_SUMS, *_MASKED)):
        raise RefusalError(
            f"the policy hides single {privacy.unit}s, and {type(reply).__name__} would tell exact"
            " sums: only sums that were charged for and noised leave this device"
        )


def without_sums(privacy: PrivacySettings, reply: Reply) -> Reply:
    """Return a reply without its exact sums where the policy lets none leave."""
    if not privacy.on:
        return reply
    # whatever vector a program of tomorrow adds to these is a sum, and stays too
    none = {
        field.name: _NOTHING
        for field in fields(reply)
        if isinstance(getattr(reply, field.name), np.ndarray)
    }
    match reply:
        case SurveyReply():
            return replace(reply, **none, items=0, voted=0)  # type: ignore[arg-type]  # its vectors
        case AnswersReply():
            none["anchors"] = np.zeros_like(reply.anchors)
            return replace(reply, **none, renewed=0)  # type: ignore[arg-type]  # its vectors
        case _:
            return reply
