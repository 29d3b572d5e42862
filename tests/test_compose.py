"""The compose file keeps what it promises: pinned, checked, closed to the outside, no secrets."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.settings import Settings

ROOT = Path(__file__).parent.parent
_PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    base = re.search(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    for image in [base[1], *(service["image"] for service in services.values())]:
        assert _PINNED.fullmatch(image), image


def test_the_server_is_at_most_one_minor_version_from_the_client(
    services: dict[str, dict[str, Any]],
) -> None:
    tag = re.search(r":v(\d+)\.(\d+)\.", services["qdrant"]["image"])
    assert tag
    major, minor = version("qdrant-client").split(".")[:2]
    assert tag[1] == major
    assert abs(int(tag[2]) - int(minor)) <= 1


def test_ports_are_open_to_this_machine_only(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert service["ports"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_every_service_is_checked_and_the_app_waits_for_qdrant(
    services: dict[str, dict[str, Any]],
) -> None:
    assert all(service["healthcheck"]["test"] for service in services.values())
    assert services["app"]["depends_on"] == {"qdrant": {"condition": "service_healthy"}}


def test_the_key_comes_from_the_environment_and_its_absence_is_told(
    services: dict[str, dict[str, Any]],
) -> None:
    server = services["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"]
    client = services["app"]["environment"]["MRAG_QDRANT_API_KEY"]
    assert server == client
    assert server.startswith("${MRAG_QDRANT_API_KEY:?")
    assert "MRAG_QDRANT_API_KEY=\n" in (ROOT / ".env.example").read_text(encoding="utf-8")
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert ".env" in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def test_data_lies_in_named_volumes(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    for service in services.values():
        for volume in service["volumes"]:
            source, target = volume.rsplit("}", 1) if "}" in volume else volume.split(":", 1)
            assert source in compose["volumes"] or target.endswith(":ro"), volume


def test_nothing_runs_as_root(services: dict[str, dict[str, Any]]) -> None:
    users = re.findall(r"^USER (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert users[-1] != "root"
    assert services["qdrant"]["image"].endswith("-unprivileged")
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_settings_that_it_sets_exist(services: dict[str, dict[str, Any]]) -> None:
    known = {f"MRAG_{name.upper()}" for name in Settings.model_fields}
    given = {name for name in services["app"]["environment"] if name.startswith("MRAG_")}
    assert given <= known


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return (
        bool(docker)
        and not subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    )


@pytest.mark.skipif(not _has_compose(), reason="docker compose is not installed")
def test_docker_compose_accepts_it_with_a_key_and_refuses_it_without(tmp_path: Path) -> None:
    def config(key: str) -> subprocess.CompletedProcess[str]:
        env = tmp_path / ".env"
        env.write_text(f"MRAG_QDRANT_API_KEY={key}\n", encoding="utf-8")
        command = ["docker", "compose", "--env-file", str(env), "config", "--quiet"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert config("secret").returncode == 0
    refused = config("")
    assert refused.returncode != 0
    assert "MRAG_QDRANT_API_KEY" in refused.stderr
