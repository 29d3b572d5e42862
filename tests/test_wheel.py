"""What `pip install` puts in place: all that runs, and nothing that only makes or tests it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    "api", "cli", "corpus", "engine", "evaluation", "ingest", "mrag_client", "refine", "server",
    "service", "ui",
)  # fmt: skip
LEFT = shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__", "node_modules")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    """The wheel of this source, built from a copy, as building leaves files beside it."""
    place = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, place / "source", ignore=LEFT)
    shutil.copytree(ROOT / ".streamlit", place / "source" / ".streamlit")
    command = [
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
        "--quiet", "--wheel-dir", str(place), str(place / "source"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = place.glob("*.whl")
    with ZipFile(built) as opened:
        yield opened


@pytest.fixture(scope="module")
def names(wheel: ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def files(folder: Path) -> set[str]:
    """The files of a folder of the source, by their path from its root."""
    there = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in there if "__pycache__" not in path.parts}


def test_every_file_of_the_program_is_in_it_and_nothing_else(names: set[str]) -> None:
    single = {"mrag.py", "streamlit_app.py", ".streamlit/config.toml"}
    expected = single.union(files(ROOT / "sample" / "pack"), *(files(ROOT / r) for r in ROOMS))
    assert names == expected


def test_no_training_script_and_no_test_is_in_it(names: set[str]) -> None:
    assert not [name for name in names if re.match(r"tests|benchmarks|docs", name)]
    assert not [name for name in names if name.startswith("sample/") and name.endswith(".py")]
    assert not [name for name in names if "secrets" in name and name.endswith(".toml")]


def test_it_says_under_which_terms_it_comes(wheel: ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = message_from_bytes(wheel.read(metadata))
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE", "NOTICE"]
    place = metadata.removesuffix("METADATA") + "licenses/"
    for name in ("LICENSE", "NOTICE"):
        assert wheel.read(place + name) == (ROOT / name).read_bytes()


def test_it_runs_outside_the_checkout(wheel: ZipFile, tmp_path: Path) -> None:
    """From another folder, with this checkout nowhere on the path: the app's files are found."""
    wheel.extractall(tmp_path / "installed")
    script = (
        "from importlib.util import find_spec as f; from engine.settings import SAMPLE_PACK as p; "
        "import ui.shared.shell as s; "
        "print(f('streamlit_app').origin, p / 'memory.txt', s.ICON)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    app, *others = map(Path, done.stdout.split())
    for place in (app, app.parent / ".streamlit" / "config.toml", *others):
        assert place.is_file()
        assert place.is_relative_to(tmp_path / "installed")
