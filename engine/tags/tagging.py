"""A tagging on disk: a tagger under a name, and when and by whom it was made, in one file.

It is the truth of what was tagged: which labels a picture has follows from it and from the
picture's vector. So pictures that come later get labels as the others did, an index that is written
anew has the same, and to take a tagging back is to remove its file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alignment.alignment import Alignment
from engine.errors import AlignmentError, Damaged, InvalidInput
from engine.search.likelihood import Likelihood, Tail
from engine.tags.calibration import LABEL_WEIGHTS, Calibration
from engine.tags.labels import Label
from engine.tags.prototypes import Prototypes
from engine.tags.tagger import Scorer, Tagger
from engine.tags.zero_shot import ZeroShot
from engine.tensorfile import read_tensors, write_tensors

_KIND = "mrag-tagging/1"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ENDING = ".safetensors"

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Tagging:
    """A tagger under a name; `when` is UTC (ISO 8601), `who` made it, by so many examples."""

    name: str
    tagger: Tagger
    encoder_id: str
    who: str = ""
    when: str = ""
    examples: int = 0


def new_tagging(
    name: str, tagger: Tagger, encoder_id: str, *, who: str, examples: int = 0
) -> Tagging:
    """A tagging that is made now; raises InvalidInput for a name that cannot be one."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Tagging(checked_name(name), tagger, encoder_id, who, when, examples)


def checked_name(name: str) -> str:
    """A name of a tagging; raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"the name {name!r} of a tagging is not allowed: use up to 63 lower-case letters, "
            "digits, '-' and '_', starting with a letter or digit"
        )
    return name


def tagging_names(folder: Path) -> list[str]:
    """The names of the taggings in a folder."""
    names = (path.name.removesuffix(_ENDING) for path in folder.glob(f"*{_ENDING}"))
    return sorted(name for name in names if _NAME.fullmatch(name))


def tagging_path(folder: Path, name: str) -> Path:
    """Where a tagging lies, or would."""
    return folder / f"{checked_name(name)}{_ENDING}"


def keep_tagging(folder: Path, tagging: Tagging) -> None:
    """Write a tagging, whole or not at all, in place of one of the same name."""
    tagger, calibration = tagging.tagger, tagging.tagger.calibration
    tail = calibration.likelihood.tail
    tensors = _scorer_tensors(tagger.scorer)
    tensors |= {
        "offsets": calibration.offsets,
        "before": calibration.before,
        "levels": tail.levels,
        "weights": calibration.likelihood.weights,
    }
    about = {
        "labels": [[one.name, list(one.phrases)] for one in tagger.labels],
        "single": tagger.single,
        "least": tagger.least,
        "slope": calibration.slope,
        "tail": {one.name: getattr(tail, one.name) for one in fields(tail) if one.name != "levels"},
        "likelihood": {
            name: getattr(calibration.likelihood, name) for name in ("centre", "unit", "power")
        },
        "method": tagger.scorer.alignment.method,
        "strength": tagger.scorer.sentences.strength,
        **{name: getattr(tagging, name) for name in ("encoder_id", "who", "when", "examples")},
    }
    path = tagging_path(folder, tagging.name)
    write_tensors(path, _KIND, tensors, {"tagging": json.dumps(about)})


def usable_taggings(
    folder: Path, encoder_id: str, dim: int
) -> tuple[tuple[Tagging, ...], dict[str, str]]:
    """The taggings of a folder that pictures of this encoder can be given labels by.

    And by name what is said of each of the others: why not, and the remedy.
    """
    found, troubles = [], {}
    for name in tagging_names(folder):
        try:
            found.append(usable_tagging(folder, name, encoder_id, dim))
        except Damaged as error:
            troubles[name] = str(error)
    return tuple(found), troubles


def usable_tagging(folder: Path, name: str, encoder_id: str, dim: int) -> Tagging:
    """A tagging for pictures of this encoder; raises Damaged for one that gives these nothing."""
    found = read_tagging(folder, name)
    own = len(found.tagger.scorer.sentences.origin)
    if (found.encoder_id, own) != (encoder_id, dim):
        raise Damaged(
            f"the tagging {name!r} was made with encoder {found.encoder_id} ({own} dimensions), "
            f"not with {encoder_id} ({dim}); {_remedy(folder, name)}"
        )
    return found


def read_tagging(folder: Path, name: str) -> Tagging:
    """Read what `keep_tagging` wrote; raises Damaged."""
    path = tagging_path(folder, name)
    remedy = _remedy(folder, name)
    try:
        tensors, metadata = read_tensors(path, _KIND, remedy)
        about = json.loads(metadata["tagging"])
        labels = tuple(Label(name, tuple(phrases)) for name, phrases in about["labels"])
        tail = Tail(levels=tensors["levels"], **about["tail"])
        likelihood = Likelihood(weights=tensors["weights"], tail=tail, **about["likelihood"])
        calibration = Calibration(likelihood, about["slope"], tensors["offsets"], tensors["before"])
        scorer = _scorer(tensors, about, len(labels))
        tagger = Tagger(labels, scorer, calibration, about["single"], about["least"])
        told = (about[one] for one in ("encoder_id", "who", "when", "examples"))
        datetime.fromisoformat(about["when"])
        return Tagging(name, tagger, *told)
    except AlignmentError as error:
        raise Damaged(f"the tagging {name!r} cannot be read: {error}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise Damaged(f"the tagging {name!r} in {path} is damaged ({error!r}); {remedy}") from error


def undoing(folder: Path, name: str) -> str:
    """The command that takes a tagging back."""
    return f"mrag tag -c {folder.parent.name} --undo {name}"


def _remedy(folder: Path, name: str) -> str:
    return (
        f"give its labels again with: mrag tag -c {folder.parent.name} --labels FILE --name "
        f"{name}, or take it back with: {undoing(folder, name)}"
    )


def _scorer_tensors(scorer: Scorer) -> Tensors:
    alignment, examples = scorer.alignment, scorer.examples
    found: dict[str, NDArray[Any] | None] = {
        "map.mean": alignment.mean_image,
        "map.matrix": alignment.matrix,
        "sentences.matrix": scorer.sentences.matrix,
        "sentences.origin": scorer.sentences.origin,
        "examples.matrix": None if examples is None else examples.matrix,
        "examples.origin": None if examples is None else examples.origin,
        "examples.counts": None if examples is None else examples.counts,
        "usual": scorer.usual,
        "spread": scorer.spread,
        "counted": scorer.weights,
    }
    return {
        name: np.ascontiguousarray(tensor, np.float64)
        for name, tensor in found.items()
        if tensor is not None
    }


def _scorer(tensors: Mapping[str, NDArray[Any]], about: Mapping[str, Any], count: int) -> Scorer:
    matrix, origin = tensors["sentences.matrix"], tensors["sentences.origin"]
    dim = len(origin)
    every = matrix.shape[1]
    _check(matrix.shape == (dim, every) and every >= count > 0, "sentences")
    mean, mapping = tensors.get("map.mean"), tensors.get("map.matrix")
    _check(mean is None or mean.shape == (dim,), "means")
    _check(mapping is None or mapping.shape == (dim, dim), "map")
    alignment = Alignment(
        method=about["method"],
        dim=dim,
        mean_image=mean,
        mean_text=np.zeros(dim),
        matrix=mapping,
    )
    examples = None
    if "examples.matrix" in tensors:
        _check(tensors["examples.matrix"].shape == (dim, every), "examples")
        _check(tensors["examples.origin"].shape == (dim,), "examples")
        _check(tensors["examples.counts"].shape == (every,), "examples")
        examples = Prototypes(
            *(tensors[f"examples.{one}"] for one in ("matrix", "origin", "counts"))
        )
    _check(tensors["usual"].shape == tensors["spread"].shape == (2, every), "scores")
    by_label = (tensors[one].shape for one in ("counted", "offsets", "before"))
    _check(all(shape == (every,) for shape in by_label), "labels")
    _check(tensors["levels"].ndim == 1 and tensors["levels"].size > 0, "levels")
    _check(tensors["weights"].shape == (len(LABEL_WEIGHTS),), "weights")
    sentences = ZeroShot(matrix, origin, about["strength"])
    usual, spread, weights = (tensors[one] for one in ("usual", "spread", "counted"))
    return Scorer(alignment, sentences, examples, usual, spread, weights)


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"its {what} do not fit each other")
