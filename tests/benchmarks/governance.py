"""What it brings to let labels teach as deep as they are sure, on noisy votes across devices.

    python tests/benchmarks/governance.py [--quick] [--json]

Twenty devices hold 75 items each; of all of them people have answered 50, drawn by lot, and weak
functions vote on the rest. Devices sum their votes, the label model is fitted to the sums, and each
device finds out by the rule it is sent what teaches. A network with one hidden layer is trained
across them by its compiled step and federated averaging. Gains are points of macro-F1 over letting
every voted label teach all layers with one weight, on items that no device has, with a 95 %
interval over the seeds; the networks of a seed start from the same weights and see the same
batches. Voted items weigh as much as the answers together ("light"), or as an answer each
("heavy").

Second views, consistency and pseudo-labels are measured at the head that campaigns solve from sums,
taught by the answers alone: gains over the head without them.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _noisy_votes import ANSWERED, FLEETS, Fleet
from _table import Options, Row, run
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.compiler import compile_step
from coordinator.models.training import first_model, run_solver, solve
from coordinator.settings import InputSettings
from edge.learning.learner import Learner
from edge.learning.lessons import Beliefs, Known, Lessons, soft_labels, what_teaches
from edge.learning.step_runner import StepRunner, shuffled
from fieldvote.heads import HeadModel
from fieldvote.rng import stream
from fieldvote.teaching import TeachingRule
from strategies.aggregation.summed_head import HeadSums
from strategies.governance import DepthRule, PseudoLabelCounts
from strategies.governance.tiers import ConfidenceCounts, gate_pays, tiers_by_share
from strategies.labeling import LabelModel, VoteSummary
from strategies.labeling.temperature import temperature_losses, with_temperature
from strategies.labeling.thresholds import ScoreHistogram
from strategies.representation import Moments

SEEDS = range(100, 112)
STUDENT_95 = {12: 2.201, 2: 12.706}
ROUNDS, EPOCHS, BATCH, RATE, HIDDEN = 20, 2, 16, 0.2, 64
FLAT = TeachingRule(sharpness=0.0)
WEIGHED = (("light", float(ANSWERED)), ("heavy", math.inf))
Parameters = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Votes:
    """A fleet whose label model is fitted, and what is known of how sure it is."""

    fleet: Fleet
    model: LabelModel
    counts: ConfidenceCounts

    def share(self, *, taught: float = 1.0, deep: float = 0.5) -> TeachingRule:
        """Return tiers cut where these shares of the voted items lie above."""
        tiers = self._tiers(deep=deep, taught=taught)
        return TeachingRule(high=tiers.high, middle=tiers.middle, voices=1, agreement=0.5)

    def measured(self) -> TeachingRule:
        """Return half of them deep where answers say that the others would teach too little."""
        pays = gate_pays(self.counts, self._tiers(), classes=self.fleet.classes)
        return self.share() if pays else TeachingRule()

    def _tiers(self, *, deep: float = 0.5, taught: float = 1.0) -> DepthRule:
        total = ScoreHistogram(counts=self.counts.voted)
        return tiers_by_share(total, DepthRule(high=0.0, middle=0.0), deep=deep, taught=taught)


FIXED = TeachingRule(high=0.9, middle=0.6, voices=2, agreement=0.75)
WAYS: Mapping[str, Callable[[Votes], TeachingRule]] = {
    "weights by certainty": lambda _: TeachingRule(),
    "and the sure half deep": lambda votes: votes.share(),
    "and that where answers say so": lambda votes: votes.measured(),
    "and the sure half alone": lambda votes: votes.share(taught=0.5),
    "and fixed tiers": lambda _: FIXED,
}


def measure(options: Options) -> list[Row]:
    """Measure every way of governing on every fleet."""
    seeds = SEEDS[:2] if options.quick else SEEDS
    weighed, rounds = (WEIGHED[:1], 3) if options.quick else (WEIGHED, ROUNDS)
    rows = []
    for name, make in FLEETS.items():
        gains: dict[str, list[float]] = {}
        for seed in seeds:
            fleet = make(seed)
            votes = _agreed(fleet)
            for weighs, all_votes in weighed:
                each = min(all_votes / float(votes.counts.voted.sum()), 1.0)
                flat = _score(fleet, _network(votes, FLAT, each, seed, rounds=rounds))
                for way, rule_of in WAYS.items():
                    weights = _network(votes, rule_of(votes), each, seed, rounds=rounds)
                    got = _score(fleet, weights)
                    gains.setdefault(f"{name}, {weighs} votes: {way}", []).append(got - flat)
            for what, gain in _head_gains(fleet, seed).items():
                gains.setdefault(f"{name}, head: {what}", []).append(gain)
        rows += [_row(what, np.array(found)) for what, found in gains.items()]
    return rows


def _row(what: str, gains: NDArray[np.float64]) -> Row:
    """Return a mean with its interval."""
    half = STUDENT_95[len(gains)] * float(gains.std(ddof=1)) / math.sqrt(len(gains))
    interval = f"{gains.mean() - half:+.2f} to {gains.mean() + half:+.2f}"
    return Row(what=what, ours=round(float(gains.mean()), 3), unit="points", target=interval)


def _agreed(fleet: Fleet) -> Votes:
    """Fit the label model to sums over the devices, with a temperature from the answers."""
    k = fleet.classes
    training, answered = fleet.device >= 0, np.flatnonzero(fleet.answered)
    model = LabelModel.fit(VoteSummary.from_votes(fleet.votes[training], classes=k))
    cast, truth = fleet.votes[answered], fleet.truth[answered]
    model = with_temperature(model, temperature_losses(model, cast, truth))
    spoke = (cast >= 0).any(axis=1)
    _, soft = soft_labels(
        _known_of(fleet, np.flatnonzero(training)), Beliefs(label_model=model, vote_weight=1.0)
    )
    counts = ConfidenceCounts.of(soft, answered=model.predict(cast[spoke]), labels=truth[spoke])
    return Votes(fleet=fleet, model=model, counts=counts)


def _known_of(fleet: Fleet, items: NDArray[np.intp]) -> Known:
    """Return what would be known of these items on one device."""
    return Known(
        answers=np.where(fleet.answered[items], fleet.truth[items], -1),
        free=np.ones(len(items), dtype=np.bool_),
        votes=fleet.votes[items],
        ranks=np.arange(len(items)),
        classes=fleet.classes,
    )


def _lessons(fleet: Fleet, beliefs: Beliefs) -> list[tuple[NDArray[np.intp], Lessons]]:
    """Return every training device's items and what they teach."""
    devices = range(int(fleet.device.max()) + 1)
    items = [np.flatnonzero(fleet.device == device) for device in devices]
    return [(own, what_teaches(_known_of(fleet, own), beliefs).lessons) for own in items]


def _network(
    votes: Votes, rule: TeachingRule, vote_weight: float, seed: int, *, rounds: int
) -> Parameters:
    """Train a network with one hidden layer across the devices."""
    fleet = votes.fleet
    beliefs = Beliefs(label_model=votes.model, vote_weight=vote_weight, rule=rule)
    taught = _lessons(fleet, beliefs)
    step = compile_step(
        _mlp(fleet.inputs.shape[1], fleet.classes, seed), gates=["hidden"], gating="scale"
    )
    runner, weights = StepRunner(step.graph, step.parameters), dict(step.parameters)
    for turn in range(rounds):
        visits = [
            _visit(runner, weights, fleet.inputs[items], lessons, (seed, device, turn))
            for device, (items, lessons) in enumerate(taught)
            if len(lessons)
        ]
        mass = sum(weight for weight, _ in visits)
        weights = {
            name: np.asarray(sum(state[name] * np.float32(w / mass) for w, state in visits))
            for name in weights
        }
    return weights


def _visit(
    runner: StepRunner,
    weights: Parameters,
    inputs: NDArray[np.float32],
    lessons: Lessons,
    at: tuple[int, int, int],
) -> tuple[float, Parameters]:
    """Train on one device; return what its lessons weigh, and its weights after some epochs.

    A step divides by what its batch weighs, so its rate is what the batch weighs to the others.
    """
    seed, device, turn = at
    runner.restart(weights)
    mean = float(lessons.weights.mean())
    for epoch in range(EPOCHS):
        order = shuffled(
            len(lessons), BATCH, seed=seed * 1000 + device, epoch=turn * EPOCHS + epoch
        )
        for rows in order:
            runner.step(
                {
                    "input": inputs[lessons.positions[rows]],
                    "target": lessons.targets[rows].astype(np.float32),
                    "weight": lessons.weights[rows].astype(np.float32),
                    "gate:hidden": lessons.gates[rows],
                },
                rate=RATE * float(lessons.weights[rows].mean()) / mean,
            )
    return float(lessons.weights.sum()), runner.state()


def _mlp(width: int, classes: int, seed: int) -> bytes:
    """Return a network with one hidden layer as ONNX, its weights drawn."""
    from onnx import TensorProto, helper, numpy_helper

    rng = stream(seed, "network")
    drawn = {
        "w1": rng.normal(size=(width, HIDDEN)) * math.sqrt(2 / width),
        "b1": np.zeros(HIDDEN),
        "w2": rng.normal(size=(HIDDEN, classes)) / math.sqrt(HIDDEN),
        "b2": np.zeros(classes),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["input", "w1", "b1"], ["before"]),
            helper.make_node("Relu", ["before"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "w2", "b2"], ["logits"]),
        ],
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in drawn.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def _score(fleet: Fleet, weights: Parameters) -> float:
    """Return macro-F1 in points on items that no device has."""
    fresh = fleet.device == -2
    hidden = np.maximum(fleet.inputs[fresh] @ weights["w1"] + weights["b1"], 0)
    said = (hidden @ weights["w2"] + weights["b2"]).argmax(axis=1)
    return _macro_f1(said, fleet.truth[fresh])


def _macro_f1(said: NDArray[np.intp], truth: NDArray[np.int64]) -> float:
    found = [
        2 * ((said == c) & (truth == c)).sum() / max((said == c).sum() + (truth == c).sum(), 1)
        for c in np.unique(truth)
    ]
    return float(100 * np.mean(found))


def _head_gains(fleet: Fleet, seed: int) -> dict[str, float]:
    """Return what else may teach brings to a head taught by answers."""
    learners = {
        device: Learner(
            fleet.inputs[items],
            classes=fleet.classes,
            second=lambda items=items: fleet.second[items],
        )
        for device in np.unique(fleet.device)
        for items in [np.flatnonzero(fleet.device == device)]
    }
    moments = [Moments.from_embeddings(learners[d].embeddings) for d in learners if d >= 0]
    total = moments[0]
    for each in moments[1:]:
        total = total + each
    start = first_model(total, InputSettings(), classes=fleet.classes, seed=seed)
    plain = _solved(fleet, learners, start, None, TeachingRule())
    judged = np.flatnonzero(fleet.device == -1)[:300]
    place = {item: i for i, item in enumerate(np.flatnonzero(fleet.device == -1))}
    said = learners[-1].probabilities(plain)[[place[item] for item in judged]]
    counts = PseudoLabelCounts.of(said, fleet.truth[judged])
    ways = {
        "pseudo-labels, 0.9 right": TeachingRule(
            thresholds=counts.thresholds(precision=0.9), most_pseudo=0.3
        ),
        "pseudo-labels, 0.95 right, most": TeachingRule(
            thresholds=counts.thresholds(precision=0.95), most_pseudo=0.9
        ),
        "second views of lessons": TeachingRule(second_views=1.0),
        "consistency of the rest": TeachingRule(consistency=1.0),
    }
    before = _head_score(fleet, learners, plain)
    return {
        what: _head_score(fleet, learners, _solved(fleet, learners, start, plain, rule)) - before
        for what, rule in ways.items()
    }


def _solved(
    fleet: Fleet,
    learners: Mapping[int, Learner],
    start: HeadModel,
    teacher: HeadModel | None,
    rule: TeachingRule,
) -> HeadModel:
    """Solve the head from sums over the training devices."""
    devices = [device for device in learners if device >= 0]
    taught = {}
    for device in devices:
        said = None if teacher is None else learners[device].probabilities(teacher)
        items = np.flatnonzero(fleet.device == device)
        taught[device] = what_teaches(
            _known_of(fleet, items), Beliefs(rule=rule, teacher=said)
        ).lessons
    sums = HeadSums.empty(width=len(start.weights) // start.classes)
    for device in devices:
        rows = taught[device]
        sums = sums + learners[device].labeled_sums(start, rows.positions[~rows.second])
    solver = solve(start, sums, l2=1.0, exchanges=30)
    return run_solver(
        solver,
        lambda leg: sum(
            learners[device].gradient(leg.model, taught[device]).to_vector() for device in devices
        ),
    ).model


def _head_score(fleet: Fleet, learners: Mapping[int, Learner], model: HeadModel) -> float:
    said = learners[-2].probabilities(model).argmax(axis=1)
    return _macro_f1(said, fleet.truth[fleet.device == -2])


if __name__ == "__main__":
    sys.exit(run("governance", __doc__.split("\n")[0], measure))
