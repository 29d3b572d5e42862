"""Captions that were written, kept as they come, so that an interrupted evaluation goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from engine.captioner import Captioner
from evaluation.examples import Examples

OnStep = Callable[[str, int, int], None]
"""Told of a stage, how much of it is done, and of how much."""

_TOGETHER = 16
"""Pictures described in one batch, and so what an interruption may repeat."""


def write_captions(
    examples: Examples, captioner: Captioner, kept: Path, stage: str, on_step: OnStep
) -> list[str]:
    """Describe each picture without its own captions; `kept` has what is written already."""
    written = _read(kept)
    rows = [row for row, image_id in enumerate(examples.image_ids) if image_id not in written]
    total = len(examples)
    on_step(stage, total - len(rows), total)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as lines:
        for start in range(0, len(rows), _TOGETHER):
            part = rows[start : start + _TOGETHER]
            ids = [examples.image_ids[row] for row in part]
            results = captioner.describe_vectors(
                examples.images[part], exclude=[(image_id,) for image_id in ids]
            )
            for image_id, result in zip(ids, results, strict=True):
                written[image_id] = result.caption
                lines.write(json.dumps([image_id, result.caption]) + "\n")
            lines.flush()
            on_step(stage, total - len(rows) + start + len(part), total)
    return [written[image_id] for image_id in examples.image_ids]


def kept_path(folder: Path, about: Sequence[str]) -> Path:
    """The file for captions that are written under these conditions and no others."""
    return folder / f"captions-{sha256(json.dumps(list(about)).encode()).hexdigest()[:24]}.jsonl"


def _read(path: Path) -> dict[str, str]:
    """What was written, without a last line that was cut short; the file is cut there too."""
    written: dict[str, str] = {}
    if not path.is_file():
        return written
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    path.write_bytes(whole)
    for line in whole.splitlines():
        image_id, caption = json.loads(line)
        written[image_id] = caption
    return written
