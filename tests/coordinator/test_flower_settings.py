from pathlib import Path

import pytest

from coordinator.flower_settings import is_loopback
from coordinator.service import CoordinatorSettings
from fieldvote.errors import SettingsError
from tests.deployment.processes import CERTIFICATES, make_certificates

TLS = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())


def settings(folder: Path, flower: str, address: str = "127.0.0.1:9092") -> CoordinatorSettings:
    config = folder / "coordinator.toml"
    config.write_text(
        f'folder = "state"\ntask = "task"\naddress = "{address}"\n[flower]\n{flower}'
        '[campaign]\nname = "c"\n'
    )
    return CoordinatorSettings.load(config)


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    make_certificates(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("flower", "wrong"),
    [
        ('ca = "ca.pem"\n', "all of ca, certificate and key"),
        ('certificate = "a"\nkey = "b"\n', "all of ca, certificate and key"),
        ("authenticate_devices = true\n", "authenticate_devices needs TLS"),
        ('join = true\nkey = "b"\n', "join: certificate, key"),
        (f"join = true\nauthenticate_devices = true\n{TLS}", "join: certificate, key"),
        ("insecure = true\n", "unknown key 'flower.insecure'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, flower: str, wrong: str
) -> None:
    with pytest.raises(SettingsError, match=wrong):
        settings(tmp_path, flower)


@pytest.mark.parametrize("address", ["0.0.0.0:9092", "10.0.0.1:9092", "hub:9092", "[::]:9092"])
def test_only_loopback_goes_without_tls(certified: Path, address: str) -> None:
    for flower in ("", "join = true\n"):
        with pytest.raises(SettingsError, match="is not loopback, so TLS is needed"):
            settings(certified, flower, address)
    assert settings(certified, TLS, address).address == address
    assert settings(certified, 'join = true\nca = "ca.pem"\n', address).flower.join


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("localhost.example", False),
        ("0.0.0.0", False),  # noqa: S104  # compared with, not bound
        ("", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_else(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_files_are_found_beside_the_settings_and_good_ones_pass(certified: Path) -> None:
    flower = settings(certified, TLS).flower
    assert Path(flower.ca) == certified / "ca.pem"
    flower.check_files()
    settings(certified, "").flower.check_files()


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_missing_file_is_named(certified: Path, name: str) -> None:
    flower = settings(certified, TLS).flower
    (certified / CERTIFICATES[name]).unlink()
    with pytest.raises(SettingsError, match=rf"flower\.{name}: .*: no such file"):
        flower.check_files()


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_file_of_something_else_is_named(certified: Path, name: str) -> None:
    flower = settings(certified, TLS).flower
    (certified / CERTIFICATES[name]).write_text("not PEM")
    wrong = "flower.ca" if name == "ca" else "flower.key"
    with pytest.raises(SettingsError, match=wrong):
        flower.check_files()


def test_a_key_of_another_certificate_is_refused(certified: Path) -> None:
    flower = settings(certified, TLS).flower
    key = (certified / "server.key").read_bytes()
    make_certificates(certified)
    (certified / "server.key").write_bytes(key)
    with pytest.raises(SettingsError, match=r"flower\.key: .* expected the key of"):
        flower.check_files()
