from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import ROOT, call

if TYPE_CHECKING:
    from tests.cli.conftest import Run

PUBLISHED = ROOT.parent / "shared" / "reference" / "metrics"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"published captions are not at {PUBLISHED}")
def test_a_published_system_scores_as_it_was_printed(tmp_path: Path) -> None:
    done = call(
        tmp_path, "score", PUBLISHED / "llama-7b.flickr30k-test.json",
        PUBLISHED / "flickr30k-test.refs.json", "--punctuation", "--json",
        "--metrics", "bleu-1,bleu-4,rouge-l,cider-d",
    )  # fmt: skip
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert {metric: round(one["value"], 6) for metric, one in answer["scores"].items()} == {
        "bleu-1": 0.594619,
        "bleu-4": 0.138019,
        "rouge-l": 0.446861,
        "cider-d": 0.356292,
    }
    assert (answer["pictures"], answer["punctuation"], answer["missing"]) == (1000, True, {})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    captions, references = tmp_path / "captions.jsonl", tmp_path / "references.json"
    said = {"a": "a dog\truns |||\nfast", "b": "...", "c": "", "d": "A tree!"}
    rows = [{"image_id": key, "caption": text} for key, text in said.items()]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    references.write_text(json.dumps({key: ["a dog runs", "a tree"] for key in (*said, "e")}))
    return captions, references


def test_captions_of_any_kind_are_scored(mrag: Run, files: tuple[Path, Path]) -> None:
    done = mrag("score", *files, "--metrics", "bleu-1,rouge-l")
    assert done.code == 0, done.err
    for word in ("bleu-1", "rouge-l", "4 pictures", "punctuation removed"):
        assert word in done.out
    assert "1 pictures of the references have no caption" in done.err


@pytest.mark.parametrize(
    ("metrics", "said"), [("bleu", "unknown caption metric 'bleu'"), (",", "no caption metric")]
)
def test_metrics_that_are_none_are_said(
    mrag: Run, files: tuple[Path, Path], metrics: str, said: str
) -> None:
    done = mrag("score", *files, "--metrics", metrics)
    assert done.code == 2
    assert said in done.err


def test_without_java_nothing_can_be_scored(
    mrag: Run, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    done = mrag("score", *files)
    assert done.code == 3
    assert "needs Java" in done.err
    assert "install a Java runtime" in done.err


def test_a_parser_that_cannot_be_fetched_is_announced_and_missing(
    mrag: Run, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MRAG_MAVEN_URL", "http://127.0.0.1:9")
    done = mrag("score", *files, "--metrics", "rouge-l,spice", "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert list(answer["scores"]) == ["rouge-l"]
    assert "CoreNLP" in answer["missing"]["spice"]
    assert str(tmp_path / "cache" / "jars") in answer["missing"]["spice"]
    assert "fetching 387 MB, once. Ctrl-C stops it" in done.err
    quiet = mrag("score", *files, "--metrics", "rouge-l", "--json")
    assert "fetching" not in quiet.err


def ended(pid: int) -> bool:
    """Whether a process is gone; one that was killed takes a moment."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of Unix")
def test_a_command_that_is_told_to_end_leaves_no_java_and_no_folder(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """SIGTERM is how systemd, Docker and a closed terminal's neighbours end a program."""
    java, pid, rest = tmp_path / "bin" / "java", tmp_path / "pid", tmp_path / "temporary"
    java.parent.mkdir()
    rest.mkdir()
    java.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && { echo \'version "17.0.1"\' >&2; exit; }\n'
        f"read first; echo $$ > {pid}; exec sleep 600\n"
    )
    java.chmod(0o755)
    environment = {"PATH": f"{java.parent}:/usr/bin:/bin", "TMPDIR": str(rest)}
    command = [sys.executable, "-m", "mrag", "score", *map(str, files), "--metrics", "rouge-l"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        while not (pid.exists() and pid.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"stopped" in errors
    assert ended(int(pid.read_text()))
    assert not list(rest.iterdir())
