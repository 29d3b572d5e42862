"""SPICE of tokenised captions, by the Java program that pycocoevalcap brings.

pycocoevalcap runs it with a heap of 8 GB and files in its own folder, and returns the score of
a picture by the rank of its id among the sorted ids. Here its memory is bounded, its files lie
in a temporary folder and the program's cache, and each score is read by the id it came with.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engine.download import OnBytes, silent
from engine.errors import MetricUnavailable
from engine.settings import Settings, read_settings
from evaluation.metrics.intervals import Values
from evaluation.metrics.jars import CORENLP, RHINO, is_there, jars_in
from evaluation.metrics.java import Java, find_java, run_java
from evaluation.metrics.tokenizer import scorer_file

FOLDER = Path("spice")
_MAIN = "edu.anu.spice.SpiceScorer"
_HEAP_MB = 4096
_MOST_WORDS = 100
"""Words of a text that are read: parsing takes the cube of a sentence's length."""


def spice(captions: Sequence[str], references: Sequence[Sequence[str]]) -> Values:
    """SPICE per picture (n,): F1 of the facts (objects, attributes, relations) that texts state.

    Parses are kept in the program's cache, as those of the same references are asked for again
    with every system that is scored on them.

    Raises MetricUnavailable where Java or its jars are missing, or it fails.
    """
    java = find_java()
    jars = [*_brought(), *fetch_parser()]
    rows = [
        {"image_id": row, "test": _cut(caption), "refs": [_cut(ref) for ref in refs]}
        for row, (caption, refs) in enumerate(zip(captions, references, strict=True))
    ]
    with TemporaryDirectory(prefix="mrag-spice-") as work:
        given, written = Path(work) / "given.json", Path(work) / "scores.json"
        given.write_text(json.dumps(rows), encoding="ascii")
        # Its database driver unpacks a library to Java's temporary folder and leaves it there.
        options = [f"-Djava.io.tmpdir={work}", *_opened(java)]
        command = java.command(jars, _MAIN, heap_mb=_HEAP_MB, options=options)
        command += [str(given), "-out", str(written), "-silent", *_cached_parses()]
        texts = len(rows) + sum(map(len, references))
        run_java(command, "", what="SPICE", seconds=600 + texts / 2)
        return _read(written, len(rows))


def bytes_to_fetch() -> int:
    """How many bytes of its parser SPICE would fetch; 0 where it is here, or from nowhere."""
    settings = read_settings()
    if not settings.maven_url:
        return 0
    folder = _folder(settings)
    return sum(jar.size for jar in _JARS if not is_there(folder / jar.name, jar))


def fetch_parser(on_bytes: OnBytes = silent) -> list[Path]:
    """Fetch what SPICE needs, 388 MB, unless it is here; `spice` does it too, but silently.

    A process asks the network once: where it failed, it fails at once from then on. Raises
    MetricUnavailable.
    """
    settings = read_settings()
    place = _folder(settings), settings.maven_url
    if place not in _failed:
        try:
            return jars_in(place[0], _JARS, settings.maven_url, on_bytes)
        except MetricUnavailable as error:
            _failed[place] = f"needs the parser CoreNLP 3.6.0: {error}"
    raise MetricUnavailable(_failed[place])


_JARS = (*CORENLP, *RHINO)
_failed: dict[tuple[Path, str], str] = {}


def _folder(settings: Settings) -> Path:
    return settings.cache / "jars"


def _brought() -> list[Path]:
    """The jars that pycocoevalcap brings."""
    folder = scorer_file(FOLDER)
    return [folder / "spice-1.0.jar", *sorted((folder / "lib").glob("*.jar"))]


def _cut(text: str) -> str:
    return " ".join(text.split()[:_MOST_WORDS])


def _opened(java: Java) -> list[str]:
    """Java 16 closed the parts of itself that the serialiser of its parses reaches into."""
    if java.version < 9:
        return []
    packages = ("lang", "math", "net", "text", "util", "util.concurrent")
    return [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in packages]


def _cached_parses() -> list[str]:
    """The option that keeps parses, where its database runs and the cache can be written."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return []
    folder = read_settings().cache / "spice"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.mdb").open("ab").close()
    except OSError:
        return []
    return ["-cache", str(folder)]


def _read(path: Path, count: int) -> Values:
    """The F1 by row."""
    try:
        scores = {
            row["image_id"]: row["scores"]["All"]["f"]
            for row in json.loads(path.read_text(encoding="utf-8"))
        }
        return np.array([float(scores[row]) for row in range(count)])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MetricUnavailable(f"SPICE left no readable scores: {error!r}") from error
