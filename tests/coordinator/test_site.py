import sys
from pathlib import Path

import pytest

from coordinator.service import CoordinatorSettings
from coordinator.site import Site, program
from fieldvote.errors import MissingExtraError, StoreError
from tests.deployment.processes import CERTIFICATES, make_certificates

TLS = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())


def site_of(folder: Path, flower: str = "", address: str = "127.0.0.1:9092") -> Site:
    config = folder / "coordinator.toml"
    config.write_text(
        f'folder = "state"\ntask = "task"\naddress = "{address}"\n[flower]\n{flower}'
        '[campaign]\nname = "c"\n'
    )
    return Site.at(config, CoordinatorSettings.load(config))


def test_tls_and_registered_devices_reach_flowers_own_settings(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    site = site_of(tmp_path, f"authenticate_devices = true\n{TLS}", "0.0.0.0:9092")
    site.prepare()
    command = " ".join(site.superlink_command())
    assert "--insecure" not in command
    assert "--enable-supernode-auth" in command
    assert f"--ssl-keyfile {tmp_path / 'server.key'}" in command
    assert "--host 0.0.0.0 --port 9092" in command
    kept = (site.home / "config.toml").read_text()
    assert f'root-certificates = "{tmp_path / "ca.pem"}"' in kept
    # what listens everywhere is reached from here by loopback
    assert 'address = "127.0.0.1:9092"' in kept
    assert site.registration.startswith(f"FLWR_HOME={tmp_path / 'state' / 'flower'} ")


def test_flowers_programs_call_nobody_and_have_a_home_of_their_own(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    assert (
        site.environment.items()
        >= {
            "FLWR_HOME": str(tmp_path / "state" / "flower"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        }.items()
    )
    assert site.environment["PATH"].startswith(str(Path(sys.executable).parent))
    assert "--insecure" in site.superlink_command()


def test_without_flower_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MissingExtraError, match=r"fieldvote\[flower\]"):
        program("flwr")


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        site_of(tmp_path)
