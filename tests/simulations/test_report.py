import json
from dataclasses import asdict, fields

from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.report import CurvePoint, LabelModelReport, Report, crossings

STEPS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 100)), max_size=25)


def curve_of(steps: list[tuple[int, int]]) -> tuple[CurvePoint, ...]:
    """Return a curve from labels bought in each round, and scores in per cent."""
    labels, points = 0, []
    for number, (bought, percent) in enumerate(steps, start=1):
        labels += bought
        points.append(CurvePoint(round=number, labels=labels, metric=percent / 100))
    return tuple(points)


def crossed_by_hand(curve: tuple[CurvePoint, ...], target: float) -> float | None:
    """Smooth over three rounds, walk along the line, stop where the target is reached."""
    smooth = []
    for place in range(len(curve)):
        window = [min(max(place + step, 0), len(curve) - 1) for step in (-1, 0, 1)]
        smooth.append(sum(curve[at].metric for at in window) / 3)
    for place, value in enumerate(smooth):
        if value >= target - 1e-12:
            if place == 0:
                return float(curve[0].labels)
            low, high = smooth[place - 1], value
            here, before = curve[place].labels, curve[place - 1].labels
            return before + (here - before) * (target - low) / (high - low)
    return None


@settings(deadline=None, max_examples=200)
@given(STEPS, st.integers(30, 99))
def test_crossings_are_those_found_by_walking_along_the_smoothed_curve(
    steps: list[tuple[int, int]], percent: int
) -> None:
    # per cent times these shares never meets a third of a whole per cent exactly
    full = percent / 100 + 0.00123
    found = crossings(curve_of(steps), full)
    assert list(found) == ["0.95", "0.99"]
    for share in (0.95, 0.99):
        by_hand = crossed_by_hand(curve_of(steps), share * full)
        ours = found[f"{share:.2f}"]
        assert (ours is None) == (by_hand is None)
        if ours is not None and by_hand is not None:
            assert abs(ours - by_hand) <= 0.05 + 1e-6


def test_a_curve_that_starts_above_the_target_needed_its_first_labels() -> None:
    assert crossings(curve_of([(12, 90), (12, 91)]), 0.9) == {"0.95": 12.0, "0.99": 12.0}


def test_a_single_lucky_round_is_no_crossing() -> None:
    assert crossings(curve_of([(10, 10), (10, 95), (10, 10), (10, 10)]), 0.9) == {
        "0.95": None,
        "0.99": None,
    }
    assert crossings((), 0.9) == {"0.95": None, "0.99": None}


def test_the_report_is_json_with_the_keys_in_the_order_of_its_fields() -> None:
    curve = curve_of([(10, 50)])
    report = Report(
        scenario="s", seed=1, engine="in-process", strategy="fleet", devices=3, rounds=1,
        metric="accuracy", full_data_metric=0.9, own_ceiling_metric=0.8, curve=curve,
        labels_to={"0.95": None}, random_curve=(), random_labels_to={}, bytes_up=1,
        bytes_up_by_kind={"offers": 1}, bytes_down=2, raw_bytes=3, epsilon=None, candidates=4,
        pii_planted=0, pii_leaked=0,
        label_model=LabelModelReport(accuracy=None, brier=None, majority_accuracy=None, coverage=0),
        annotator_accuracy=1.0, labels_cost=0.5, wall_s=0.1, client_rounds_per_s=1.0, peak_rss_mb=9,
    )  # fmt: skip
    text = report.to_json()
    assert text.endswith("}\n")
    read = json.loads(text)
    assert list(read) == [field.name for field in fields(Report)]
    assert read["curve"] == [{"round": 1, "labels": 10, "metric": 0.5}]
    assert read["labels_to"] == {"0.95": None}
    assert read == json.loads(json.dumps(asdict(report)))
