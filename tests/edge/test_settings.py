"""A device's TOML file: read strictly, with its paths as seen from where it lies."""

from pathlib import Path

import pytest

from edge.settings import EdgeSettings
from fieldvote.errors import SettingsError

KEY = "ab" * 32
PLAIN = {
    "folder": '"state"',
    "task": '"task"',
    "labeling_key": f'"{KEY}"',
    "desk_key": f'"{KEY}"',
    "sketch_secret": '"sketch.key"',
}


def written(place: Path, **changed: str) -> Path:
    file = place / "device.toml"
    said = {name: value for name, value in {**PLAIN, **changed}.items() if value}
    file.write_text("\n".join(f"{name} = {value}" for name, value in said.items()))
    return file


def test_paths_are_beside_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    file = written(tmp_path, task='"/srv/task"', items='"deep/items.txt"')
    settings = EdgeSettings.load(file)
    assert settings.folder == str(tmp_path / "state")
    assert settings.task == "/srv/task"
    assert settings.sketch_secret == str(tmp_path / "sketch.key")
    assert settings.items == str(tmp_path / "deep" / "items.txt")
    assert settings.socket_path == tmp_path / "state" / "agent.sock"


def test_what_is_left_out_is_empty(tmp_path: Path) -> None:
    settings = EdgeSettings.load(written(tmp_path))
    assert (settings.socket, settings.items, settings.root) == ("", "", "")
    assert settings.evaluates is False


def test_pins_of_python_functions_are_read_and_checked(tmp_path: Path) -> None:
    settings = EdgeSettings.load(written(tmp_path, python_functions=f'{{ grammar = "{KEY}" }}'))
    assert settings.python_functions == (("grammar", KEY),)
    with pytest.raises(SettingsError, match=r"python_functions\.grammar: expected 64 hexadecimal"):
        EdgeSettings.load(written(tmp_path, python_functions='{ grammar = "ab" }'))


def test_a_socket_may_lie_elsewhere(tmp_path: Path) -> None:
    assert EdgeSettings.load(written(tmp_path, socket='"run/a.sock"')).socket_path == (
        tmp_path / "run" / "a.sock"
    )


@pytest.mark.parametrize("key", [KEY[:-1], KEY + "0", "", "z" * 64, "0x" + KEY[:62], " " * 64])
@pytest.mark.parametrize("name", ["labeling_key", "desk_key"])
def test_a_key_that_is_none_is_refused_and_not_printed(tmp_path: Path, name: str, key: str) -> None:
    value = f'"{key}"'
    with pytest.raises(SettingsError, match=f"{name}: expected 64 hexadecimal digits") as caught:
        EdgeSettings.load(written(tmp_path, **{name: value}))
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sokcet": '"a"'}, "unknown key 'sokcet'; did you mean 'socket'"),
        ({"desk_key": ""}, "missing key 'desk_key'"),
        ({"folder": "3"}, "folder: expected a string, got an integer"),
        ({"evaluates": '"yes"'}, "evaluates: expected true or false"),
        ({"root": "[1]"}, "root: expected a string"),
    ],
)
def test_what_the_file_may_not_say_is_refused_by_its_key(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        EdgeSettings.load(written(tmp_path, **changed))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"device\.toml: cannot be read"):
        EdgeSettings.load(tmp_path / "device.toml")


def flower(place: Path, *lines: str) -> Path:
    file = written(place)
    file.write_text("\n".join([file.read_text(), "[flower]", *lines]))
    return file


def test_a_place_in_a_fleet_has_its_paths_beside_the_file_and_a_key_in_the_folder(
    tmp_path: Path,
) -> None:
    assert EdgeSettings.load(written(tmp_path)).flower is None
    said = flower(tmp_path, 'superlink = "link.example:9092"', 'ca = "ca.pem"')
    found = EdgeSettings.load(said).flower
    assert found is not None
    assert found.ca == str(tmp_path / "ca.pem")
    assert found.key == str(tmp_path / "state" / "flower.key")
    own = flower(tmp_path, 'superlink = "a:1"', 'ca = "ca.pem"', 'key = "/etc/node.key"')
    found = EdgeSettings.load(own).flower
    assert found is not None
    assert found.key == "/etc/node.key"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['superlink = "link"', 'ca = "c"'], "superlink: expected host:port, got 'link'"),
        (['superlink = "link:x"', 'ca = "c"'], "superlink: expected host:port"),
        (['superlink = "link:1"'], "ca: expected the file"),
        (['superlink = "127.0.0.1:1"'], "ca: expected the file"),
        (['superlink = "127.0.0.1:1"', 'ca = "c"', "insecure = true"], "ca: expected the file"),
        (['superlink = "link.example:1"', "insecure = true"], "insecure: only for 127.0.0.1"),
        (['superlink = "127.0.0.1.example.org:1"', "insecure = true"], "insecure: only for"),
        (['superlnk = "a:1"'], "unknown key 'flower.superlnk'; did you mean 'superlink'"),
    ],
)
def test_a_place_that_is_wrong_or_in_the_clear_is_refused(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        EdgeSettings.load(flower(tmp_path, *lines))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_tls_may_be_left_out_on_this_very_machine(tmp_path: Path, host: str) -> None:
    found = EdgeSettings.load(flower(tmp_path, f'superlink = "{host}:1"', "insecure = true"))
    assert found.flower is not None
    assert found.flower.insecure
