"""What the bytes of a reply are: summaries, offers, candidates, updates, or overhead."""

from collections.abc import Mapping

from fieldvote.codec import field_sizes
from fieldvote.comparing import CompareReply
from fieldvote.heads import EvaluateReply, GradientReply
from fieldvote.private import PrivateReply
from fieldvote.recasting import RecastReply
from fieldvote.records import (
    AnswersReply,
    CollectReply,
    Reply,
    SurveyReply,
)
from fieldvote.releases import TrialReply
from fieldvote.traces import TraceReply

# What each field of a reply is, for ledgers and reports; a field that is not named is overhead,
# and so is all of a hello and of what is said while a bundle arrives.
PORTIONS: Mapping[tuple[type, str], str] = {
    (SurveyReply, "votes"): "summaries",
    (SurveyReply, "moments"): "summaries",
    (SurveyReply, "renewed"): "summaries",
    (SurveyReply, "arrivals"): "summaries",
    (SurveyReply, "offers"): "offers",
    (CollectReply, "sealed"): "candidates",
    (AnswersReply, "anchors"): "summaries",
    (AnswersReply, "labeled"): "updates",
    (AnswersReply, "voted"): "updates",
    (GradientReply, "sums"): "updates",
    (EvaluateReply, "confusion"): "summaries",
    (EvaluateReply, "calibration"): "summaries",
    (CompareReply, "sums"): "updates",
    (RecastReply, "sums"): "updates",
    (TrialReply, "votes"): "summaries",
    (TrialReply, "anchors"): "summaries",
    (TraceReply, "sums"): "updates",
    (PrivateReply, "sums"): "summaries",
}
PORTION_KINDS = ("summaries", "offers", "candidates", "updates", "overhead")


def portions(reply: Reply, blob: bytes) -> dict[str, int]:
    """Return how many bytes of an encoded reply are summaries, offers, candidates and so on.

    The parts add up to the length of blob; nothing is counted twice.
    """
    sizes = dict.fromkeys(PORTION_KINDS, 0)
    for name, size in field_sizes(reply).items():
        sizes[PORTIONS.get((type(reply), name), "overhead")] += size
    sizes["overhead"] += len(blob) - sum(sizes.values())
    return sizes
