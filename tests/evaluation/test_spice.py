from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import MetricUnavailable
from engine.settings import Settings
from evaluation.metrics.caption_metrics import score_captions
from evaluation.metrics.jars import CORENLP, RHINO
from evaluation.metrics.spice import spice

FakeJava = Callable[[str], Path]

CAPTIONS = ["a dog runs", "a cat", "two horses", "a tree"]
REFERENCES = [["a dog"], ["a cat", "a pet"], ["horses"], ["a tree"]]
_READ = (
    'while [ $# -gt 0 ]; do case "$1" in *given.json) given="$1";; -out) out="$2";; esac; '
    "shift; done\n"
)


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with files that have the sizes of the jars; temporary files go to its side."""
    folder = tmp_path / "cache" / "jars"
    folder.mkdir(parents=True)
    for jar in (*CORENLP, *RHINO):
        with (folder / jar.name).open("wb") as file:
            file.truncate(jar.size)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("MRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return folder


def answering(scores: list[tuple[int, float | None]]) -> str:
    """The script of a SPICE that answers these scores by picture, in this order."""
    rows = [{"image_id": row, "scores": {"All": {"f": score}}} for row, score in scores]
    return f"{_READ}cat > \"$out\" <<'END'\n{json.dumps(rows)}\nEND"


@pytest.mark.usefixtures("jars")
def test_scores_are_read_by_their_picture_not_by_their_place(fake_java: FakeJava) -> None:
    fake_java(answering([(2, 0.2), (0, 0.0), (3, 0.3), (1, 0.1)]))
    assert spice(CAPTIONS, REFERENCES).tolist() == [0.0, 0.1, 0.2, 0.3]


def test_it_is_given_all_texts_with_bounded_memory_and_leaves_no_file(
    fake_java: FakeJava, jars: Path, tmp_path: Path
) -> None:
    kept, told = tmp_path / "kept.json", tmp_path / "told"
    script = answering([(row, 1.0) for row in range(2)])
    fake_java(f'echo "$*" > {told}\n' + script + f'\ncp "$given" {kept}')
    spice(["日本 |||", "word " * 5000], [["é"], ["a", "b"]])
    rows = json.loads(kept.read_text())
    assert rows[0] == {"image_id": 0, "test": "日本 |||", "refs": ["é"]}
    assert len(rows[1]["test"].split()) == 100
    command = told.read_text()
    assert "-Xmx4096m" in command
    assert "--add-opens=java.base/java.lang=ALL-UNNAMED" in command
    assert all(str(jars / jar.name) in command for jar in (*CORENLP, *RHINO))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.usefixtures("jars")
def test_java_8_gets_no_flag_that_it_does_not_know(
    fake_java: Callable[[str, str], Path], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    fake_java(f'echo "$*" > {told}\n' + answering([(0, 1.0)]), '"1.8.0_442"')
    spice(["a"], [["a"]])
    assert "--add-opens" not in told.read_text()


@pytest.mark.usefixtures("jars")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'OutOfMemoryError: Java heap space' >&2; exit 3", "status 3: OutOfMemoryError"),
        ("exit 0", "SPICE left no readable scores"),
        (answering([(0, 0.5)]), "SPICE left no readable scores"),
        (answering([(0, 0.5), (1, None)]), "SPICE left no readable scores"),
    ],
)
def test_what_is_no_score_is_a_reason(
    fake_java: FakeJava, tmp_path: Path, script: str, reason: str
) -> None:
    fake_java(script)
    with pytest.raises(MetricUnavailable, match=reason):
        spice(CAPTIONS[:2], REFERENCES[:2])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_jars_out_of_reach_are_a_reason_said_once_for_the_process(
    fake_java: FakeJava, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java("")
    monkeypatch.setenv("MRAG_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("MRAG_MAVEN_URL", "http://127.0.0.1:port/maven2")
    for _ in range(2):
        with pytest.raises(MetricUnavailable, match=r"needs the parser CoreNLP 3\.6\.0: http://"):
            spice(CAPTIONS, REFERENCES)


@pytest.mark.slow
@pytest.mark.usefixtures("java")
@pytest.mark.skipif(
    not (Settings().cache / "jars" / CORENLP[1].name).is_file(),
    reason="the jars of SPICE are not in the cache; `mrag evaluate` fetches them",
)
def test_the_real_spice_follows_the_pictures_in_any_order() -> None:
    captions = ["a red motorcycle on a road", "", "two brown dogs", "a cat sleeps", "日本 ||| dog"]
    references = [
        ["a man riding a motorcycle on a dirt road", "a red motor bike"],
        ["two dogs play"],
        ["two dogs play", ""],
        ["a cat sleeps"],
        ["a dog"],
    ]
    order = [3, 0, 4, 2, 1]
    straight = score_captions(captions, references, ["spice"]).scores["spice"]
    turned = score_captions(
        [captions[i] for i in order], [references[i] for i in order], ["spice"]
    ).scores["spice"]
    assert turned.values == pytest.approx(straight.values[order], abs=1e-12)
    assert straight.values[1] == 0
    assert straight.values[2] == pytest.approx(0.4)
    assert straight.values[3] == pytest.approx(1)
