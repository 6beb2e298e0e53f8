from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from fieldvote.errors import InputError, SettingsError
from simulations.datasets import DATASETS
from simulations.scenario import Scenario, names


def written(folder: Path, content: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(content)
    return file


@pytest.mark.parametrize("name", ["digits", "har", "messages", "sms"])
def test_every_shipped_scenario_parses_and_is_about_the_data_of_its_name(name: str) -> None:
    scenario = Scenario.load(name)
    assert (scenario.name, scenario.data) == (name, name.removesuffix("-deep"))
    assert scenario.data in DATASETS
    assert (scenario.learner == "deep") == name.endswith("-deep")
    scenario.functions_file()
    assert scenario.campaign(seed=4).seed == 4


def test_the_shipped_scenarios_are_those_of_the_named_data_sets() -> None:
    assert names() == ("digits", "digits-deep", "har", "har-deep", "messages", "sms")


@pytest.mark.parametrize(
    ("said", "meant"), [("digit", "digits"), ("sns", "sms"), ("mesages", "messages")]
)
def test_an_unknown_scenario_names_the_nearest(said: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"no scenario '{said}'.*'{meant}'"):
        Scenario.load(said)


def test_neither_the_pattern_for_data_files_nor_a_functions_file_is_a_scenario() -> None:
    for name in ("any", "messages.functions", ""):
        with pytest.raises(InputError, match="no scenario"):
            Scenario.load(name)


@pytest.mark.parametrize(
    ("line", "key", "meant"),
    [
        ("onlin_share = 0.5", "onlin_share", "online_share"),
        ("[inputs]\nfourrier = 3", "inputs.fourrier", "fourier"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, line: str, key: str, meant: str) -> None:
    file = written(tmp_path, f'name = "x"\ndata = "digits"\n{line}\n')
    with pytest.raises(SettingsError, match=f"mine.toml: unknown key '{key}'.*'{meant}'"):
        Scenario.load(file)


def test_paths_in_a_file_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    file = written(folder, 'name = "x"\ndata = "d/x.npz"\ntask = "."\nfunctions = "f.toml"\n')
    (folder / "f.toml").write_text("# mine\n")
    # a file of that name where the command happens to run is another one
    (tmp_path / "f.toml").write_text("# not mine\n")
    monkeypatch.chdir(tmp_path)
    for way in (file, Path("deep") / "mine.toml"):
        scenario = Scenario.load(way)
        assert Path(scenario.data).resolve() == folder / "d" / "x.npz"
        assert Path(scenario.task).resolve() == folder
        assert scenario.functions_file() == b"# mine\n"


def test_absolute_paths_in_a_file_stay(tmp_path: Path) -> None:
    file = written(tmp_path, f'name = "x"\ndata = "{tmp_path / "y.npz"}"\n')
    assert Scenario.load(file).data == str(tmp_path / "y.npz")


def test_names_in_a_file_stay_names_even_beside_folders_called_so(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    file = written(tmp_path, 'name = "x"\ndata = "digits"\nfunctions = "sms.functions.toml"\n')
    scenario = Scenario.load(str(file))
    assert scenario.data == "digits"
    assert scenario.task == ""
    assert scenario.functions_file() == Scenario.load("sms").functions_file()


def test_a_functions_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    file = written(tmp_path, 'name = "x"\ndata = "digits"\nfunctions = "gone.toml"\n')
    with pytest.raises(InputError, match=r"functions: no file .*gone\.toml"):
        Scenario.load(file).functions_file()
    assert Scenario(name="x", data="digits").functions_file() == b""


@pytest.mark.parametrize("content", ["name = ", "\xff", 'name = "x"', 'name = 3\ndata = "digits"'])
def test_a_file_that_is_no_scenario_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"mine\.toml"):
        Scenario.load(tmp_path / "mine.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        Scenario.load(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("held_out", 0.0), ("held_out", 1.0), ("held_out", float("nan")),
        ("online_share", 0.0), ("online_share", 1.5), ("online_share", float("nan")),
        ("random_share", -0.1), ("random_share", 1.1), ("error_rate", 2.0),
        ("labels_per_device", 0), ("offers", 0), ("exchanges", 0), ("epochs", 0),
        ("text_width", 0), ("rounds", 0), ("devices", 1),
        ("learner", "sumed"),
    ],
)  # fmt: skip
def test_what_no_rehearsal_can_do_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        Scenario(name="x", data="digits", **{name: value})  # type: ignore[arg-type]  # on purpose


def test_a_whole_share_of_the_fleet_may_be_online() -> None:
    assert Scenario(name="x", data="digits", online_share=1.0).campaign(seed=1).surveyed_share == 1


def test_a_data_file_is_a_scenario_of_its_own_called_by_its_stem(tmp_path: Path) -> None:
    file = tmp_path / "pumps.2026.npz"
    np.savez(file, X=np.zeros((2, 1)), y=[0, 1], device=[0, 1])
    scenario = Scenario.for_data(file)
    assert scenario.name == "pumps.2026"
    assert scenario.data == str(tmp_path / "pumps.2026.npz")


def test_what_a_scenario_says_of_the_campaign_reaches_the_coordinator() -> None:
    scenario = Scenario(
        name="x", data="digits", strategy="margin", online_share=0.5, labels_per_device=7,
        offers=9, random_share=0.3, price=1.5, learner="averaged", exchanges=3, epochs=2, l2=0.7,
        vote_weight=4.0, sketch_bits=64, seed_offers=3,
    )  # fmt: skip
    campaign = scenario.campaign(seed=11)
    assert (campaign.seed, campaign.surveyed_share) == (11, 0.5)
    same = {field.name for field in fields(scenario)} & {field.name for field in fields(campaign)}
    for name in same:
        assert getattr(campaign, name) == getattr(scenario, name), name
    assert len(same) >= 13


def test_a_table_tries_other_inputs_after_some_rounds_and_texts_stay_as_they_are(
    tmp_path: Path,
) -> None:
    texts, table = tmp_path / "texts.npz", tmp_path / "table.npz"
    np.savez(texts, utf8=np.frombuffer(b"a\nb", dtype=np.uint8), y=[0, 1], device=[0, 1])
    np.savez(table, X=np.zeros((2, 1)), y=[0, 1], device=[0, 1])
    assert not Scenario.for_data(texts).recipes.rounds
    recipes = Scenario.for_data(table).campaign(seed=1).recipes
    assert recipes.rounds[0] == 1
    assert {variant.recentre for variant in recipes.variants} == {0.0, 0.5, 1.0}
    assert any(variant.fourier for variant in recipes.variants)
    assert (Scenario.for_data(texts).name, Scenario.for_data(table).name) == ("texts", "table")
