"""Captions that were written, kept as they come, so that an interrupted evaluation goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from corpus.examples import Examples
from engine.describe.captioner import Captioner
from engine.files import write_whole

OnStep = Callable[[str, int, int], None]
"""Told of a stage, how much of it is done, and of how much."""

_TOGETHER = 16
"""Pictures described in one batch, and so what an interruption may repeat."""


def write_captions(
    examples: Examples, captioner: Captioner, kept: Path, stage: str, on_step: OnStep
) -> list[str]:
    """Describe each picture without its own captions; `kept` has what is written already."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    written, total = _read(kept), len(examples)
    on_step(stage, len(written), total)
    with kept.open("a", encoding="utf-8") as lines:
        while len(written) < total:
            part = slice(len(written), len(written) + _TOGETHER)
            results = captioner.describe_vectors(
                examples.images[part], exclude=examples.pictures[part]
            )
            written += [result.caption for result in results]
            lines.writelines(json.dumps(result.caption) + "\n" for result in results)
            lines.flush()
            on_step(stage, len(written), total)
    return written


def kept_path(folder: Path, about: Sequence[str]) -> Path:
    """The file for captions that are written under these conditions and no others."""
    return folder / f"captions-{sha256(json.dumps(list(about)).encode()).hexdigest()[:24]}.jsonl"


def forget(paths: Sequence[Path]) -> None:
    """Remove what was kept, and its folder if nothing of another evaluation is left in it."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        with suppress(OSError):
            folder.rmdir()


def _read(path: Path) -> list[str]:
    """The captions of the whole batches that were written; what comes after them is cut off.

    Batches are then the same as without the interruption, and so is what is written in them.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    whole = whole[: len(whole) // _TOGETHER * _TOGETHER]
    write_whole(path, b"".join(whole))
    return [json.loads(line) for line in whole]
