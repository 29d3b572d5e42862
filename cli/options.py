"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from engine.errors import InvalidInput
from mrag_client.models import MANY, MOST_RERANK_SECONDS, MOST_RERANKED, RERANKING, Rerank

if TYPE_CHECKING:  # what works is loaded where it works: most commands may go through a server
    from engine.app import Engine
    from engine.settings import Settings

CollectionOption = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        help="The collection; by default MRAG_COLLECTION, or the only one.",
        show_default=False,
    ),
]
CollectionArgument = Annotated[
    str,
    typer.Argument(
        help="The collection; by default MRAG_COLLECTION, or the only one.", show_default=False
    ),
]

LimitOption = Annotated[
    int | None, typer.Option(min=1, max=MANY, help="Only a sample of so many pictures.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Draws samples and intervals.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on stdout, all else on stderr.")
]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Show how it was made: what each stage did, and its time.")
]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="open_clip MODEL/TAG, hf-hub:NAME or local-dir:FOLDER.",
        show_default=False,
    ),
]
GeneratorOption = Annotated[
    str,
    typer.Option(
        "--generator",
        help="transformers seq2seq name or folder, or `consensus` (no model).",
        show_default=False,
    ),
]
RerankOption = Annotated[
    Rerank, typer.Option("--rerank", help=f"Put the best in a better order. {RERANKING}")
]
RerankTopOption = Annotated[
    int,
    typer.Option("--rerank-top", min=1, max=MOST_RERANKED, help="So many of the first."),
]
RerankSecondsOption = Annotated[
    float,
    typer.Option(
        "--rerank-seconds",
        min=0,
        max=MOST_RERANK_SECONDS,
        help="For so long; what there is no time for keeps its place.",
    ),
]
RerankerOption = Annotated[
    str,
    typer.Option(
        "--reranker",
        help="BLIP that matches texts with images: name or folder.",
        show_default=False,
    ),
]
AnswererOption = Annotated[
    str,
    typer.Option(
        "--answerer",
        help="transformers image-text-to-text model that sees the pictures: name or folder.",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        help="Models to use: fast (default), paper, or sample.",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.", show_default=False)
]

LocalOption = Annotated[
    bool, typer.Option("--local", help="Work here, even if a server of this home runs.")
]


def named_path(text: str) -> Path:
    """The path that a user named: not the current folder for an empty name."""
    if not text.strip():
        raise InvalidInput(
            "an empty name was given for a file or folder; name it, or give . for this folder"
        )
    if "\0" in text:
        raise InvalidInput(f"{text!r} is the name of no file; give one without a null character")
    return Path(text)


def new_file(text: str) -> Path:
    """A file to be written when the work is done: what forbids it is said before."""
    path = named_path(text)
    if path.is_dir():
        raise typer.BadParameter(f"{text!r} is a folder; name a file")
    return path


def new_folder(text: str) -> Path:
    """A folder to be written into when the work is done; see `new_file`."""
    path = named_path(text)
    if path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{text!r} is a file; name a folder")
    return path


@dataclass(frozen=True)
class ModelOptions:
    """Which models fill a collection, and where they run."""

    profile: ProfileOption = ""
    encoder: EncoderOption = ""
    generator: GeneratorOption = ""
    device: DeviceOption = ""

    def settings(self) -> Settings:
        """The settings with these in place of those of the environment."""
        return settings_for(**asdict(self))


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer: the fields of parameters that are dataclasses become its options.

    So options that several commands share are declared once, and come together.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in groups:
            options += _options(groups[name])
        else:
            options.append(parameter.replace(annotation=hints[name]))

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: group(**{option.name: given.pop(option.name) for option in fields(group)})
            for name, group in groups.items()
        }
        command(**made, **given)

    run.__annotations__ = {option.name: option.annotation for option in options}
    run.__dict__["__signature__"] = Signature(options)
    return run


def _options(group: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for option in fields(group):
        default = Parameter.empty if option.default is MISSING else option.default
        yield Parameter(
            option.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[option.name]
        )


def settings_for(**given: str) -> Settings:
    """The settings of the environment, with the options that were given in place of them."""
    from engine.settings import read_settings

    return read_settings({name: value for name, value in given.items() if value})


@contextmanager
def opened_engine(settings: Settings) -> Iterator[Engine]:
    """An engine that is closed after the command, whatever happens; it tells what it loads."""
    from cli.progress import loading_shown
    from engine.app import build_engine

    engine = build_engine(settings)
    try:
        with loading_shown():
            yield engine
    finally:
        engine.close()
