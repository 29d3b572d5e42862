"""The image and the compose file keep what they promise: pinned, checked, closed, no secrets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.settings import variables

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


@pytest.fixture(scope="module")
def recipe() -> str:
    """The Dockerfile, its lines that go on joined."""
    return (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")


def test_images_are_pinned(services: dict[str, dict[str, Any]], recipe: str) -> None:
    (python,) = re.findall(r"^ARG PYTHON=(\S+)", recipe, re.MULTILINE)
    bases = re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)
    assert set(bases) == {"python:${PYTHON}"}
    for image in [f"python:{python}", services["qdrant"]["image"]]:
        assert _PINNED.fullmatch(image), image
    assert python.endswith(("-slim-bookworm", "-slim-trixie"))


def test_the_image_is_of_the_version_and_the_torch_that_are_in_it(
    services: dict[str, dict[str, Any]],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert services["app"]["image"] == f"mrag:{project['version']}-${{TORCH:-cpu}}"
    assert services["app"]["build"]["args"] == {"TORCH": "${TORCH:-cpu}"}


def test_builds_for_cpus_unless_another_torch_is_asked_for(recipe: str) -> None:
    assert "ARG TORCH=cpu\n" in recipe
    assert set(re.findall(r"(\w+)\) set --", recipe)) == {"cpu", "cuda"}
    assert "--constraint constraints.txt" in recipe
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    # A build for CPUs carries a local version, which a pin with one of its own would exclude.
    assert re.search(r"^torch==[\d.]+$", pins, re.MULTILINE)
    assert re.search(r"^torchvision==[\d.]+$", pins, re.MULTILINE)


def test_all_that_the_wheel_is_made_of_goes_into_the_build() -> None:
    """And nothing else: no secrets, no tests, no scripts that trained the sample's models."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tools, project = setup["tool"]["setuptools"], setup["project"]
    rooms = {name.rstrip("*").replace(".", "/") for name in tools["packages"]["find"]["include"]}
    files = {f"{name}.py" for name in tools["py-modules"]} | {project["readme"]}
    files |= {*project["license-files"], "pyproject.toml", "constraints.txt"}
    assert let_in == rooms | files | {".streamlit/config.toml"}


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
    services: dict[str, dict[str, Any]], recipe: str
) -> None:
    assert services["qdrant"]["healthcheck"]["test"]
    assert services["app"]["depends_on"] == {"qdrant": {"condition": "service_healthy"}}
    (check,) = re.findall(r"^HEALTHCHECK .*?CMD +(\[.*\])$", recipe, re.MULTILINE)
    (port,) = re.findall(r"^EXPOSE (\d+)$", recipe, re.MULTILINE)
    assert services["app"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    python, option, code = json.loads(check)
    assert (python, option) == ("python", "-c")
    assert f"http://127.0.0.1:{port}/" in code
    # Nothing listens there: it says so by failing.
    unused = code.replace(f":{port}/", ":9/")
    done = subprocess.run([sys.executable, "-c", unused], capture_output=True, check=False)
    assert done.returncode == 1


def test_the_key_comes_from_the_environment_and_its_absence_is_told(
    services: dict[str, dict[str, Any]],
) -> None:
    server = services["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"]
    client = services["app"]["environment"]["MRAG_QDRANT_API_KEY"]
    assert server == client
    assert server.startswith("${MRAG_QDRANT_API_KEY:?")
    assert "MRAG_QDRANT_API_KEY=\n" in (ROOT / ".env.example").read_text(encoding="utf-8")
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_data_lies_in_named_volumes(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    for service in services.values():
        for volume in service["volumes"]:
            source, target = volume.rsplit("}", 1) if "}" in volume else volume.split(":", 1)
            assert source in compose["volumes"] or target.endswith(":ro"), volume


def test_nothing_runs_as_root_or_writes_where_the_program_lies(
    services: dict[str, dict[str, Any]], recipe: str
) -> None:
    users = re.findall(r"^USER (\S+)", recipe, re.MULTILINE)
    assert users
    assert int(users[-1].split(":")[0]) > 0  # by number: an orchestrator can see it
    assert services["app"]["read_only"] is True
    assert services["app"]["tmpfs"] == ["/tmp"]
    assert services["qdrant"]["image"].endswith("-unprivileged")
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_every_setting_is_passed_as_env_or_the_shell_has_it(
    services: dict[str, dict[str, Any]], recipe: str
) -> None:
    given = {
        name: value
        for name, value in services["app"]["environment"].items()
        if name.startswith("MRAG_")
    }
    assert given.keys() == set(variables())
    fixed = {name for name, value in given.items() if "$" not in value}
    assert fixed == {"MRAG_HOME", "MRAG_CACHE", "MRAG_SOURCE_ROOT"}
    for name in fixed:
        assert f"{name}={given[name]}" in recipe
    for name in given.keys() - fixed:
        assert given[name].startswith(f"${{{name}:"), name
    assert {"path": ".env", "required": False} in services["app"]["env_file"]


def test_what_env_may_hold_is_named_in_its_example() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE))
    assert named <= {*variables(), "MRAG_PICTURES", "TORCH"}
    used = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert all(f"${{{name}" in used for name in named)


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(
        ["hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return (
        bool(docker)
        and not subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    )


@pytest.mark.skipif(not _has_compose(), reason="docker compose is not installed")
def test_docker_compose_takes_what_env_says_and_refuses_it_without_a_key(tmp_path: Path) -> None:
    """In a folder of its own, so that nobody's `.env` is read."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MRAG_")}

    def config(*lines: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / ".env").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["docker", "compose", "config", "--format", "json"]
        return subprocess.run(
            command, cwd=tmp_path, env=kept, capture_output=True, text=True, check=False
        )

    refused = config("MRAG_QDRANT_API_KEY=")
    assert refused.returncode != 0
    assert "MRAG_QDRANT_API_KEY" in refused.stderr
    taken = config(
        "MRAG_QDRANT_API_KEY=secret", "MRAG_PROFILE=paper", "MRAG_PROFLIE=fast", "TORCH=cuda",
        "MRAG_PICTURES=/somewhere",
    )  # fmt: skip
    assert taken.returncode == 0, taken.stderr
    app = json.loads(taken.stdout)["services"]["app"]
    assert app["environment"]["MRAG_PROFILE"] == "paper"
    assert app["environment"]["MRAG_HOME"] == "/data"
    assert app["environment"]["MRAG_PROFLIE"] == "fast"  # to be named by the program
    assert app["build"]["args"] == {"TORCH": "cuda"}
    (pictures,) = (place for place in app["volumes"] if place["target"] == "/pictures")
    assert (pictures["source"], pictures["read_only"]) == ("/somewhere", True)
