"""The command line as a whole: its streams, its errors, and options that hold everywhere."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from PIL import Image

import cli.main
from cli.output import emit
from tests.cli.conftest import PACK, Run


def test_debug_is_heard_before_and_after_the_command(mrag: Run) -> None:
    """The traceback is shown wherever --debug stands, and only then."""
    for arguments in (["--debug", "push", "nope"], ["push", "nope", "--debug"]):
        done = mrag(*arguments)
        assert done.code == 3
        assert "Traceback" in done.err
    assert "Traceback" not in mrag("push", "nope").err


def test_debug_may_be_looked_for(mrag: Run) -> None:
    """After -- it is what is looked for: here a word that is not wanted, and none that is."""
    done = mrag("search", "--json", "-k", "1", "--", "--debug")
    assert done.code == 2
    assert "Traceback" not in done.err
    (answer,) = mrag("search", "--json", "-k", "1", "--", '"--debug" mode').answers
    assert "--debug" in answer["query"]


def test_the_version_can_be_asked_of_a_checkout(mrag: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with a program that runs from its source."""

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    done = mrag("--version")
    assert done.code == 0
    assert done.out.startswith("mrag ")


def test_the_usage_names_the_command_as_it_is_typed(mrag: Run) -> None:
    """However it was started, it is called mrag."""
    assert "Usage: mrag caption [OPTIONS] {IMAGE|VIDEO}..." in mrag("caption", "--help").out


@pytest.mark.parametrize("home", ["file/home", "file"])
def test_a_home_that_cannot_be_made_is_no_bug(mrag: Run, tmp_path: Path, home: str) -> None:
    """The message names the place, and there is no talk of a bug."""
    (tmp_path / "file").touch()
    source = tmp_path / "captions.txt"
    source.write_text("a dog\n")
    done = mrag("ingest", source, "--profile", "sample", at=tmp_path / home)
    assert done.code == 3
    assert str(tmp_path / "file") in done.err
    assert "bug" not in done.err


def test_a_picture_to_search_with_that_cannot_be_read_is_a_failed_input(
    mrag: Run, tmp_path: Path
) -> None:
    """As in caption and compare."""
    done = mrag("search", "--image", tmp_path / "none.jpg")
    assert done.code == 1
    assert "none.jpg" in done.err


def test_closed_streams_stop_nothing(tmp_path: Path) -> None:
    """A cron job may have neither stdout nor stderr."""
    closed = f'exec "{sys.executable}" -m mrag collections >&- 2>&-'
    root = Path(cli.main.__file__).parents[1]
    done = subprocess.run(
        ["/bin/sh", "-c", closed],
        cwd=root,
        env={"MRAG_HOME": str(tmp_path), "PATH": os.defpath},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        ("--help", "stdout"),
        ("collections", "stdout"),
        ("collections --json", "stdout"),
        ("collections", "both"),
        ("push no-such", "both"),
    ],
)
def test_a_pipe_that_nobody_reads_ends_it_quietly(home: Path, command: str, closed: str) -> None:
    """As in `mrag ... | head -1`: no word, and the status that a shell gives to SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "mrag", *command.split()],
        cwd=Path(cli.main.__file__).parents[1],
        env={"MRAG_HOME": str(home), "PATH": os.defpath},
        stdout=writer,
        stderr=writer if closed == "both" else subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr or b"") == (141, b"")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "have its owner give you the right"),
        (errno.EROFS, "MRAG_HOME"),
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EIO, "check its connection"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENOMEM, "MRAG_BATCH_SIZE"),
        (errno.ESTALE, "check that the place is there"),
    ],
    ids=errno.errorcode.get,
)
def test_what_the_system_refuses_is_said_with_its_place_and_remedy(
    mrag: Run, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    """In one line, and never as a bug: a newline in the place is seen as one."""

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/a\nplace")

    monkeypatch.setattr("cli.doors.opened_engine", refused)
    done = mrag("collections")
    assert (done.code, done.out) == (3, "")
    (line,) = done.err.splitlines()
    assert "/a\\nplace" in line
    assert remedy in line
    assert "bug" not in line


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (MemoryError(), "MRAG_WORKERS"),
        (ImportError("libtorch.so: failed to map segment"), "free memory"),
    ],
)
def test_what_does_not_fit_into_memory_is_no_bug(
    mrag: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    def exhausted(*_: object) -> None:
        raise error

    monkeypatch.setattr("cli.doors.opened_engine", exhausted)
    done = mrag("collections")
    assert done.code == 3
    assert remedy in done.err
    assert "bug" not in done.err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_is_json_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """What the encoding cannot hold is escaped as JSON has it, not as Python has it."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    emit({"text": "é😀\udcff"})
    assert json.loads(written.getvalue().decode(encoding)) == {"text": "é😀\udcff"}


def test_a_comparison_without_captions_says_what_is_missing(mrag: Run, tmp_path: Path) -> None:
    """Two empty columns would be no answer; an index not written yet is said to be so."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = folder / "a.webp"
    picture.write_bytes((PACK / "plain" / "images" / "350.webp").read_bytes())
    home = tmp_path / "home"
    assert mrag("embed", folder, "-c", "one", "--profile", "sample", at=home).code == 0
    assert "one: not indexed yet; do it with: mrag" in mrag("collections", at=home).err
    assert mrag("ingest", folder, "-c", "one", at=home).code == 0
    done = mrag("compare", picture, "-c", "one", at=home)
    assert (done.code, done.out) == (3, "")
    assert "no captions" in done.err


def test_an_empty_variable_is_none(mrag: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a compose file sets it; the number of descriptions has an upper limit, too."""
    monkeypatch.setenv("MRAG_BATCH_SIZE", "")
    assert mrag("collections").code == 0
    assert mrag("caption", "x.jpg", "-n", "5000").code == 2


def test_every_failed_input_of_an_ingest_is_named_once(mrag: Run, tmp_path: Path) -> None:
    """However many there are, on stderr, each with its path said once."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(15):
        (folder / f"bad{number:02}.jpg").write_text(f"no picture {number}")
    Image.new("RGB", (8, 8)).save(folder / "good.png")
    done = mrag("ingest", folder, "-c", "bad", "--profile", "sample", at=tmp_path / "home")
    assert done.code == 1
    assert [done.err.count(f"bad{number:02}.jpg: ") for number in range(15)] == [1] * 15


def test_a_line_break_in_a_name_breaks_no_line(mrag: Run, tmp_path: Path) -> None:
    """Every line of the report is whole; the file of what was skipped keeps the real name."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "one\ntwo\x1b[2J.jpg").write_text("no picture")
    (folder / "Screenshot at 9.41\u202fAM.jpg").write_text("no picture either")
    Image.new("RGB", (8, 8)).save(folder / "good.png")
    done = mrag("ingest", folder, "-c", "odd", "--profile", "sample", at=tmp_path / "home")
    assert done.code == 1
    assert "two" not in [line[:3] for line in done.err.splitlines()]
    assert "one\\ntwo\\x1b[2J.jpg: " in done.err
    assert "Screenshot at 9.41\u202fAM.jpg: " in done.err
    log = tmp_path / "home" / "collections" / "odd" / "skipped.jsonl"
    names = [Path(json.loads(line)["uri"]).name for line in log.read_text().splitlines()]
    assert "one\ntwo\x1b[2J.jpg" in names


def test_ctrl_c_says_what_is_kept(mrag: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to go on."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.doors.opened_engine", interrupted)
    done = mrag("collections")
    assert done.code == 130
    assert "what was finished is kept" in done.err


def test_a_mistyped_setting_is_named_once_and_stops_nothing(
    mrag: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_COLECTION", "plain")
    done = mrag("search", "a dog", "--json", "-k", "1")
    assert done.code == 0
    assert len(done.answers) == 1
    assert done.err.count("MRAG_COLECTION") == 1
    assert "did you mean MRAG_COLLECTION?" in done.err
