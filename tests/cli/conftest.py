"""A home with one small sample collection, and two ways to run `mrag` over it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import main

ROOT = Path(__file__).parents[2]
PACK = ROOT / "sample" / "pack"


@dataclass(frozen=True)
class Done:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout, which must hold nothing else."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Done]


def call(home: Path, *args: str | Path) -> Done:
    """Run mrag as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "mrag", *map(str, args)],
        cwd=ROOT,
        env={"MRAG_HOME": str(home), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose only collection is `plain`, filled by the real command."""
    made = tmp_path_factory.mktemp("home")
    table = PACK / "plain" / "captions.jsonl"
    done = call(
        made, "ingest", table, "-c", "plain", "--split", "train", "--limit", "80",
        "--profile", "sample", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (report,) = done.answers
    assert report["embedded"] == report["images"] == 80
    assert report["captions"] == 400
    return made


@pytest.fixture
def mrag(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs mrag in this process, which spares the seconds that the models take to import."""

    def run(*args: str | Path, at: Path = home) -> Done:
        monkeypatch.setenv("MRAG_HOME", str(at))
        monkeypatch.setattr(sys, "argv", ["mrag", *map(str, args)])
        capsys.readouterr()
        try:
            code = main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        seen = capsys.readouterr()
        return Done(code, seen.out, seen.err)

    return run


@pytest.fixture
def held_out() -> list[Path]:
    """Pictures that the collection does not hold."""
    rows = map(json.loads, (PACK / "plain" / "captions.jsonl").read_text().splitlines())
    return [PACK / "plain" / row["image"] for row in rows if row["split"] == "test"][:3]
