"""Penn Treebank tokens of captions, as the published scores of this field are counted on."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from engine.errors import MetricUnavailable
from evaluation.metrics.java import Java, find_java, run_java

JAR = Path("tokenizer") / "stanford-corenlp-3.4.1.jar"
_MAIN = "edu.stanford.nlp.process.PTBTokenizer"
_HEAP_MB = 1024


def scorer_file(path: Path) -> Path:
    """A file of the installed pycocoevalcap, which brings the Java programs."""
    spec = find_spec("pycocoevalcap")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise MetricUnavailable("needs the Python package pycocoevalcap, which is not installed")
    return Path(folders[0]) / path


def tokenize(texts: Sequence[str], *, punctuation: bool, java: Java | None = None) -> list[str]:
    """The lower-case tokens of each text, joined by spaces.

    `punctuation` keeps the tokens that are marks; pycocoevalcap drops them, the SITTA paper's
    scores keep them, and every score depends on it.

    Raises MetricUnavailable where Java is missing or fails.
    """
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    if not texts:
        return []
    dropped = frozenset() if punctuation else frozenset(PUNCTUATIONS)
    lines = _run(java or find_java(), [one_line(text) for text in texts])
    return [" ".join(word for word in line.split() if word not in dropped) for line in lines]


def one_line(text: str) -> str:
    """The text without line breaks of any kind: a line is what the Java programs take."""
    return " ".join(text.split())


def _run(java: Java, lines: Sequence[str]) -> list[str]:
    command = java.command([scorer_file(JAR)], _MAIN, heap_mb=_HEAP_MB)
    command += ["-encoding", "UTF-8", "-preserveLines", "-lowerCase"]
    # It writes a blank line for a blank one; the last must end, or it is not written.
    text = "".join(f"{line}\n" for line in lines)
    out = run_java(command, text, what="the PTB tokeniser", seconds=60 + len(lines) / 100)
    tokens = out.split("\n")[:-1]
    if len(tokens) != len(lines):
        raise MetricUnavailable(
            f"the PTB tokeniser gave {len(tokens):,} lines for {len(lines):,} captions"
        )
    return tokens
