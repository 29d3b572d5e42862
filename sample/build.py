"""Build the whole sample pack: one command, stages that are skipped where their output is there.

python -m sample.build            go on where the last run stopped
python -m sample.build --force    make everything anew
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sample.world.render import EMOJI_FONT
from sample.write_pack import PACK, write_pack

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A step of the build, the file it writes last, and how to run it."""

    name: str
    output: Path
    run: Callable[[], None]


def _train_clip(folder: Path) -> None:
    from sample.clip.train_clip import train

    train(folder)


def _train_base(folder: Path) -> None:
    from sample.t5.train_t5 import train_base

    train_base(folder)


def _train_final(base: Path, clip: Path, folder: Path) -> None:
    from sample.t5.train_t5 import train_final

    train_final(base, clip, folder)


def stages(pack: Path, work: Path) -> list[Stage]:
    """The stages in order; the base T5 is kept in the work folder, not in the pack."""
    clip, t5, base = pack / "clip", pack / "t5", work / "t5-base"
    return [
        Stage("pictures and captions", pack / "NOTICE.md", lambda: write_pack(pack)),
        Stage("clip", clip / "open_clip_model.safetensors", lambda: _train_clip(clip)),
        Stage("t5 base", base / "model.safetensors", lambda: _train_base(base)),
        Stage("t5", t5 / "model.safetensors", lambda: _train_final(base, clip, t5)),
    ]


def build(pack: Path, work: Path, force: bool = False) -> list[str]:
    """Run the stages whose output is missing, or all; the names of those that ran."""
    ran = []
    for stage in stages(pack, work):
        if force or not stage.output.exists():
            _log.info("%s ...", stage.name)
            stage.run()
            ran.append(stage.name)
        else:
            _log.info("%s: there already", stage.name)
    return ran


def main() -> None:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build the sample pack.")
    parser.add_argument("--pack", type=Path, default=PACK)
    parser.add_argument(
        "--work", type=Path, default=Path("build/sample"), help="for what is between"
    )
    parser.add_argument("--force", action="store_true", help="run every stage again")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not EMOJI_FONT.exists():
        parser.error(f"no font at {EMOJI_FONT}: apt-get install fonts-noto-color-emoji")
    build(args.pack, args.work, args.force)


if __name__ == "__main__":
    main()
