"""Bad arguments to every command: one clear word and the documented exit code, never a bug."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import COMMANDS
from tests.cli.conftest import PACK, Run, call

HUGE = "9" * 20
PICTURE = str(PACK / "plain" / "images" / "351.webp")

USAGE = [
    *(f"caption {PICTURE} {bad}" for bad in (
        f"-k {HUGE}", "-k 0", "-k -1", "-k 1e3", "-k 4294967296", f"--per-image {HUGE}",
        f"-n {HUGE}", "-n 0", "--diversity nan", "--diversity inf", "--consensus -inf",
        "--space odd", "--order odd", "--decoding odd", "--prompt nothing", "--device toaster",
        "--device cuda:99", "-c ../etc", "-c a/b", "-c a\0b", "-c UPPER", "-c .",
    )),
    "caption", "caption [EMPTY]", "caption a\0b",
    *(f"describe FOLDER {bad}" for bad in (
        "--out x.docx", "--out FOLDER", "--out [EMPTY]", "--mode odd", "--sidecar-name odd",
        "--embed --embed-to new", "--embed-to FILE", "--again", "--watch --poll 0", "-c ../etc",
        "--xmp --poll x", "--xmp --poll 3", "--sidecar-name adobe",
        "--out FOLDER/one.webp", "--device toaster",
    )),
    "describe", "describe [EMPTY]", "describe EMPTY-FOLDER --xmp", "describe --xmp",
    "describe --again --xmp", "describe a\0b",
    *(f"search dog {bad}" for bad in (
        f"-k {HUGE}", "-k 10001", f"--offset {HUGE}", "--offset -1", "--min-score nan",
        "--min-score 2", "--diversity nan", "--space odd", "--image [EMPTY]", "-c a\nb",
    )),
    "search", "search [EMPTY]", "search --like nothing", "search dog --minus dog",
    *(f"ask dogs? {bad}" for bad in (
        "-k 0", f"-k {HUGE}", "--shown 0", "--search after:never", "-c ../x",
        "--questions no-such", f"{PICTURE} --questions FILE",
    )),
    "ask", "ask [EMPTY]", "ask ?",
    *(f"tag --labels FILE {bad}" for bad in (
        "--least 2", "--least nan", f"-k {HUGE}", "--name a/b", "--csv FOLDER", "-c ../x",
        "--examples no-such", "--undo odd",
    )),
    "tag --labels no-such", "tag --labels FOLDER", "tag --labels EMPTY-FILE", "tag --undo no-such",
    f"compare {PICTURE} -k {HUGE}", "compare", "compare [EMPTY]",
    *(f"ingest FOLDER --profile sample {bad}" for bad in (
        f"--limit {HUGE}", "--limit 0", "--limit -1", "--method odd", "-c ../x", "-c a\0b",
        "--images nope", "--split nope", "--device cuda:-1", "--images [EMPTY]", "--memory a/b",
    )),
    "ingest", "ingest [EMPTY]", "ingest no-such", "ingest /dev/null", "ingest a\0b",
    "ingest EMPTY-FILE --profile sample", "ingest FOLDER --profile odd",
    "ingest EMPTY-FOLDER --profile sample",
    *(f"embed FOLDER --profile sample --part {bad}" for bad in (
        "9/8", "0/8", "1/0", "x", f"1/{HUGE}", "-1/3", "1.5/3", "1/2/3",
    )),
    *(f"fit plain {bad}" for bad in (
        "--strength nan --method ridge", "--strength inf --method shrink", "--strength x",
        "--strength -1 --method ridge", "--method odd", "--alignment plain",
    )),
    "push ../x", "push a/b", "push a\nb",
    "memory", "memory odd", "memory coco --captions FILE", "memory --captions no-such",
    "memory --captions [EMPTY]", "memory coco --limit 0",
    "memory coco --from no-such --profile sample", "memory coco --from FILE --profile sample",
    *(f"duplicates {bad}" for bad in (
        "--exact --near", "-k 0", f"-k {HUGE}", "--out x.txt", "--out FOLDER", "-c ../x", "odd",
    )),
    *(f"sync {bad}" for bad in (
        "no-such", "plain extra", "--poll 5", "--watch --poll 0", "--watch --dry-run", "-c ../x",
        "-c a\0b",
    )),
    *(f"correct {bad}" for bad in (
        "no-such", "no-such x", "no-such [EMPTY]", "no-such --undo --history", "no-such x --undo",
        "no-such --again", "--accept", "[EMPTY] x", "a\0b x", "no-such x -c ../x",
    )),
    "delete", "delete [EMPTY] --yes", "delete .. --yes", "delete plain",
    "collections odd", "doctor --profile odd",
    *(f"evaluate plain {bad}" for bad in (
        f"-k {HUGE}", f"--seed {HUGE}", "--seed -1", f"--limit {HUGE}", "--maps odd",
        "--maps [EMPTY]", "--metrics odd", "--split nope", "--html FOLDER", "--out FILE",
    )),
    "score no-such no-such", "score FOLDER FOLDER", "score FILE FILE",
    "score EMPTY-FILE EMPTY-FILE", f"score FILE FILE --seed {HUGE}", "score FILE FILE --metrics x",
    *(f"ablate plain {bad}" for bad in (
        "--axes odd", "--jobs -1", f"--jobs {HUGE}", f"--seed {HUGE}", "--limit 0", "--csv FOLDER",
    )),
    *(f"refine plain {bad}" for bad in (
        "--share nan", "--share 0", "--share 2", "--max-rounds 0", f"--max-rounds {HUGE}",
        f"--patience {HUGE}", f"--undo {HUGE}", "--undo 99", "--metric odd", "--metric [EMPTY]",
        "--metric cider-d=nan", "--metric cider-d=-1", "--split train",
    )),
    "mcp odd",
    "keys odd", "keys add", "keys add x", "keys add a/b --role read", "keys add x --role king",
    f"keys add x --role read --expires {HUGE}", "keys add x --role read --expires 0",
    "keys revoke", "keys revoke no-such",
    "compact a/b", "verify ../x", "migrate a/b", "compact \n",
    "app --port 0", "app --port 65536", "app --port x", f"app --port {HUGE}",
    "serve --port 0", "serve --address 192.0.2.1", "serve odd",
    "app --address x.invalid", "app --address 192.0.2.1", f"app --address {'a' * 80}",
    "demo odd", "odd", "--odd",
]  # fmt: skip
MISSING = [
    *(f"{command} no-such" for command in (
        "fit", "push", "evaluate", "ablate", "refine", "compact", "verify", "migrate",
        "delete --yes", "delete",
    )),
    f"caption {PICTURE} -c no-such", f"compare {PICTURE} -c no-such", "search dog -c no-such",
    f"caption {PICTURE} --encoder local-dir:/no-such", "fit plain --alignment no-such",
    f"caption {PICTURE} --generator /no-such",
    "describe FOLDER -c no-such", "describe --again -c no-such",
    "describe FOLDER --generator /no-such",
    "ingest FOLDER --memory no-such --profile sample",
    "ingest FOLDER --alignment no-such --profile sample",
]  # fmt: skip
UNREADABLE = [
    *(
        f"{command} {bad}"
        for command in ("caption", "compare", "search dog --image", "ask dogs?")
        for bad in ("no-such.jpg", "FOLDER", "FILE", "a\nb.jpg", "x" * 5000)
    ),
    *(
        f"describe {bad}"
        for bad in ("no-such.jpg", "FILE --xmp", "a\nb.jpg", "x" * 5000, "x/y --txt")
    ),
]


def arguments(line: str, made: Path) -> list[str]:
    """The line's words; a capital one is the place of that name."""
    places = {name: str(made / name.lower()) for name in ("FOLDER", "FILE", "EMPTY-FILE")}
    places |= {"EMPTY-FOLDER": str(made / "empty-folder"), "[EMPTY]": ""}
    return [places.get(word, word) for word in line.split(" ")]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture, a file of words, an empty file and an empty folder."""
    for name in ("folder", "empty-folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "one.webp").write_bytes(Path(PICTURE).read_bytes())
    (tmp_path / "file").write_text("a dog\n")
    (tmp_path / "empty-file").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code"),
    [
        *((line, 2) for line in USAGE),
        *((line, 3) for line in MISSING),
        *((line, 1) for line in UNREADABLE),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_bad_argument_is_told_in_one_word(
    mrag: Run, home: Path, made: Path, line: str, code: int
) -> None:
    before = {path.name for path in (home / "collections").iterdir()}
    done = mrag(*arguments(line, made))
    assert (done.code, done.out) == (code, ""), done.err
    assert "bug" not in done.err
    assert "Traceback" not in done.err
    (told,) = [one for one in done.err.splitlines() if one.startswith(("mrag: ", "Error: "))]
    assert len(told) > 20
    assert {path.name for path in (home / "collections").iterdir()} == before


def test_every_command_is_among_them() -> None:
    tried = {line.split(" ")[0] for line in (*USAGE, *MISSING)}
    assert COMMANDS.keys() <= tried


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["search", "dog", "-k", HUGE], 2),
        (["push", "no-such"], 3),
        (["caption", "one\ntwo.jpg"], 1),
        (["ingest", ""], 2),
    ],
)
def test_so_it_is_for_a_process_of_its_own(home: Path, words: list[str], code: int) -> None:
    done = call(home, *words)
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert len([one for one in done.err.splitlines() if one.startswith(("mrag: ", "Error: "))]) == 1
