"""Write what the pack holds beside the models: pictures, captions, the memory, the notice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from sample.world.render import postcard, render
from sample.world.scenes import Scene
from sample.world.splits import Shown, memory_captions, pack_scenes

PACK = Path(__file__).parent / "pack"
WEBP_QUALITY = 80
_WEBP_EFFORT = 6

NOTICE = """\
# Sample pack

A made-up micro-world of emoji scenes. Captions, models and pictures were produced by the
scripts in `sample/`; no outside data set or pretrained weight went into them.

The pictures are drawn with glyphs of **Noto Color Emoji** (version 2.042, Debian package
`fonts-noto-color-emoji`), Copyright 2013-2017 Google Inc. and Arjen Nienhuis. The font is
under the SIL Open Font License 1.1; the emoji artwork it is built from is under the Apache
License 2.0 (https://github.com/googlefonts/noto-emoji). The font itself is not in this pack:
the pictures are documents made with it, which section 5 of the font licence leaves free.
"""


def truth_of(scene: Scene) -> dict[str, object]:
    """What the scene really holds, as the "truth" field of its captions.jsonl row."""
    return {
        "things": {group.thing.name: group.count for group in scene.groups},
        "place": scene.place.name,
        "relation": scene.relation,
    }


def as_shipped(picture: Image.Image) -> Image.Image:
    """The picture as it comes back from a file of the pack."""
    file = BytesIO()
    picture.save(file, "WEBP", quality=WEBP_QUALITY, method=_WEBP_EFFORT)
    with Image.open(file) as again:
        return again.convert("RGB")


def write_collection(folder: Path, name: str, scenes: Sequence[Shown]) -> None:
    """Write one collection: its pictures and its captions.jsonl."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for index, shown in enumerate(scenes):
        picture = render(shown.scene, shown.seed)
        image = f"images/{index:03}.webp"
        dressed = postcard(picture) if name == "postcards" else picture
        dressed.save(folder / image, quality=WEBP_QUALITY, method=_WEBP_EFFORT)
        row = {
            "image": image,
            "captions": shown.captions,
            "split": shown.split,
            "truth": truth_of(shown.scene),
        }
        lines.append(json.dumps(row) + "\n")
    (folder / "captions.jsonl").write_text("".join(lines), encoding="utf-8")


def write_pack(pack: Path = PACK) -> None:
    """Write both collections, the memory and the notice."""
    for name, scenes in pack_scenes().items():
        write_collection(pack / name, name, scenes)
    (pack / "memory.txt").write_text("".join(f"{t}\n" for t in memory_captions()), encoding="utf-8")
    (pack / "NOTICE.md").write_text(NOTICE, encoding="utf-8")
