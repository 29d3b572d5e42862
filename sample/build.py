"""Build the whole sample pack: one command, stages that are skipped where their output is there.

python -m sample.build            go on where the last run stopped
python -m sample.build --force    make everything anew
python -m sample.build --quick --pack FOLDER    a few steps of everything, to see that it runs
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
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


def _train_clip(folder: Path, quick: bool) -> None:
    from sample.clip.train_clip import CYCLES, QUICK_CYCLES, train

    train(folder, QUICK_CYCLES if quick else CYCLES)


def _train_base(folder: Path, quick: bool) -> None:
    from sample.t5.train_t5 import BASE_STEPS, QUICK_STEPS, train_base

    train_base(folder, QUICK_STEPS if quick else BASE_STEPS)


def _train_final(base: Path, clip: Path, folder: Path, quick: bool) -> None:
    from sample.t5.train_t5 import QUICK_ROUNDS, ROUNDS, train_final

    train_final(base, clip, folder, QUICK_ROUNDS if quick else ROUNDS)


def stages(pack: Path, work: Path, quick: bool = False) -> list[Stage]:
    """The stages in order; the base T5 is kept in the work folder, not in the pack."""
    clip, t5, base = pack / "clip", pack / "t5", work / "t5-base"
    return [
        Stage("pictures and captions", pack / "NOTICE.md", lambda: write_pack(pack)),
        Stage("clip", clip / "open_clip_model.safetensors", lambda: _train_clip(clip, quick)),
        Stage("t5 base", base / "model.safetensors", lambda: _train_base(base, quick)),
        Stage("t5", t5 / "model.safetensors", lambda: _train_final(base, clip, t5, quick)),
    ]


def _clear(steps: Sequence[Stage]) -> None:
    """Take all output away, so that a run that is stopped goes on with nothing of before."""
    for step in steps:
        step.output.unlink(missing_ok=True)


def build(pack: Path, work: Path, force: bool = False, quick: bool = False) -> list[str]:
    """Run the stages whose output is missing, or all; the names of those that ran."""
    ran, steps = [], stages(pack, work, quick)
    if force:
        _clear(steps)
    for stage in steps:
        if stage.output.exists():
            _log.info("%s: there already", stage.name)
            continue
        _log.info("%s ...", stage.name)
        started = time.monotonic()
        stage.run()
        _log.info("%s: %.1f minutes", stage.name, (time.monotonic() - started) / 60)
        ran.append(stage.name)
    return ran


def main() -> None:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build the sample pack.")
    parser.add_argument("--pack", type=Path, default=PACK)
    parser.add_argument(
        "--work", type=Path, default=Path("build/sample"), help="for what is between"
    )
    parser.add_argument("--force", action="store_true", help="run every stage again")
    parser.add_argument("--quick", action="store_true", help="a few steps; into another --pack")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not EMOJI_FONT.exists():
        parser.error(f"no font at {EMOJI_FONT}: apt-get install fonts-noto-color-emoji")
    if args.quick and args.pack.resolve() == PACK.resolve():
        parser.error("--quick makes models that know nothing: give another folder as --pack")
    build(args.pack, args.work, args.force, args.quick)


if __name__ == "__main__":
    main()
