from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.labeling import Items, compile_functions
from fieldvote.errors import InputError, TaskError
from fieldvote.task import TabularInput, TextInput
from simulations.dataset import Dataset
from simulations.scenario import Scenario
from simulations.tasks import build_task, task_files

RNG = np.random.default_rng(2)
TABLE = Dataset(
    name="table",
    classes=("no", "yes"),
    labels=RNG.integers(0, 2, size=40),
    device=np.arange(40) % 4,
    features=RNG.normal(size=(40, 3)),
    feature_names=("heat", "speed", "age"),
)
TEXTS = Dataset(
    name="texts",
    classes=("ordinary", "offer"),
    labels=np.arange(8) % 2,
    device=np.arange(8) % 4,
    texts=("you have won a prize",) * 8,
)
SCENARIO = Scenario(name="mine", data="x.npz")


def test_a_table_becomes_a_task_over_its_columns() -> None:
    task = build_task(TABLE, np.ones(40, dtype=np.bool_), SCENARIO)
    assert task.classes == TABLE.classes
    assert isinstance(task.input, TabularInput)
    assert task.input.fields == TABLE.feature_names
    assert task.functions == ()
    assert task.policy.candidates.keep == (("heat", 3), ("speed", 3), ("age", 3))


def test_texts_become_a_task_over_hashed_features() -> None:
    scenario = replace(SCENARIO, text_width=128)
    task = build_task(TEXTS, np.ones(8, dtype=np.bool_), scenario)
    assert isinstance(task.input, TextInput)
    assert task.input.width == 128
    assert task.policy.candidates.keep == ()


def test_only_the_fields_a_scenario_keeps_may_leave_and_as_coarse_as_it_says() -> None:
    scenario = replace(SCENARIO, keep_fields=("age",), keep_decimals=0)
    task = build_task(TABLE, np.ones(40, dtype=np.bool_), scenario)
    assert task.policy.candidates.keep == (("age", 0),)


def test_a_kept_field_the_data_do_not_have_is_refused() -> None:
    with pytest.raises(TaskError, match=r"agee.*did you mean 'age'"):
        build_task(TABLE, np.ones(40, dtype=np.bool_), replace(SCENARIO, keep_fields=("agee",)))


def test_the_same_data_and_scenario_make_the_same_task() -> None:
    trains = np.ones(40, dtype=np.bool_)
    assert build_task(TABLE, trains, SCENARIO).digest == build_task(TABLE, trains, SCENARIO).digest
    other = build_task(TABLE, trains, replace(SCENARIO, keep_decimals=1))
    assert other.digest != build_task(TABLE, trains, SCENARIO).digest


def test_nothing_of_the_held_out_devices_shapes_the_task() -> None:
    har = replace(
        TABLE,
        classes=("laying", "standing"),
        feature_names=("tGravityAcc-mean()-X", "tBodyAccJerkMag-mean()", "other"),
    )
    scenario = replace(SCENARIO, name="har")
    trains = har.device != 3
    assert har.features is not None
    changed = np.where(trains[:, None], har.features, 1e6)
    files = task_files(har, trains, scenario)
    assert files == task_files(replace(har, features=changed), trains, scenario)
    assert b"lies_flat" in files["functions.toml"]
    moved = np.where(trains[:, None], har.features + 1, har.features)
    assert files != task_files(replace(har, features=moved), trains, scenario)


def test_thresholds_are_quantiles_of_the_training_pools() -> None:
    har = replace(
        TABLE,
        classes=("laying", "standing"),
        feature_names=("tGravityAcc-mean()-X", "tBodyAccJerkMag-mean()", "other"),
    )
    task = build_task(har, np.ones(40, dtype=np.bool_), replace(SCENARIO, name="har"))
    assert {function.id for function in task.functions} == {"lies_flat", "stands_still"}
    assert har.features is not None
    votes = compile_functions(task.functions, task.input, task.classes).vote(
        Items(rows=har.features, names=har.feature_names)
    )
    # the lowest 15 % of 40 rows
    assert (votes >= 0).sum(axis=0).tolist() == [6, 6]


@settings(deadline=None, max_examples=40)
@given(
    st.text(min_size=1, max_size=20).filter(str.strip),
    st.text(min_size=1, max_size=20).filter(str.strip),
)
def test_any_name_a_person_may_give_a_file_or_a_column_is_carried_over(
    name: str, column: str
) -> None:
    dataset = replace(TABLE, feature_names=("first column", column + "!", "third"))
    task = build_task(dataset, np.ones(40, dtype=np.bool_), replace(SCENARIO, name=name))
    assert task.name == name
    assert task.input.field_names == dataset.feature_names


def test_a_scenarios_own_functions_are_checked_as_any_task_is() -> None:
    scenario = replace(SCENARIO, functions="messages.functions.toml")
    task = build_task(TEXTS, np.ones(8, dtype=np.bool_), scenario)
    assert "prize_words" in {function.id for function in task.functions}
    with pytest.raises(InputError, match="no file"):
        build_task(TEXTS, np.ones(8, dtype=np.bool_), replace(SCENARIO, functions="gone.toml"))
