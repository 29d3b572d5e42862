"""Settings, read at the edges (the command line, `build_engine`) from `MRAG_*` variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.errors import InvalidInput
from engine.limits import DEFAULT_LIMITS, Limits

SAMPLE_PACK = Path(__file__).parent.parent / "sample" / "pack"

_Port = Annotated[int, Field(ge=1, le=65535)]
_Names = Annotated[tuple[str, ...], NoDecode]

_ACCOUNT = re.compile(r"[!-?A-~]+@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_DOMAIN = re.compile(r"@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[?[0-9a-f:.]+\]?")
_ORIGIN = re.compile(
    r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](?::[0-9]{1,5})?"
)

PROFILES: dict[str, tuple[str, str]] = {
    "sample": (f"local-dir:{SAMPLE_PACK / 'clip'}", str(SAMPLE_PACK / "t5")),
    "fast": ("ViT-B-32/datacomp_xl_s13b_b90k", "google/flan-t5-base"),
    "paper": ("RN50x64/openai", "google/flan-t5-large"),
}
"""Profile -> (encoder, generator); see `Settings.encoder` and `Settings.generator`."""


class Settings(BaseSettings):
    """All settings; each can be given as the environment variable `MRAG_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="MRAG_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(
        default_factory=lambda: user_data_path("mrag"),
        description="Folder of all collections.",
    )
    cache: Path = Field(
        default_factory=lambda: user_cache_path("mrag"),
        description="Folder of what can be fetched again: the jars that SPICE needs.",
    )
    maven_url: str = Field(
        default="",
        description="Maven repository that jars are fetched from: Maven Central's, or a mirror.",
    )
    collection: str = Field(default="", description="Collection used when none is named.")
    profile: str = Field(default="fast", description="Models: sample, fast or paper.")
    encoder: str = Field(
        default="",
        description="open_clip `MODEL/TAG` or `local-dir:FOLDER`, in place of the profile's.",
    )
    generator: str = Field(
        default="",
        description="transformers seq2seq name or folder, or `consensus`, in place of the "
        "profile's.",
    )
    reranker: str = Field(
        default="",
        description="BLIP that matches texts with images, by name or folder, as "
        "Salesforce/blip-itm-base-coco: for reranking by picture; empty: there is none.",
    )
    answerer: str = Field(
        default="",
        description="transformers image-text-to-text name or folder, as "
        "HuggingFaceTB/SmolVLM-500M-Instruct: answers questions from pictures and captions; "
        "empty: the generator does, from captions alone.",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:N or mps.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="Number format of the models; auto chooses by device."
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="Threads of a model on the CPU; 0: OMP_NUM_THREADS, or else by its size.",
    )
    batch_size: int = Field(default=32, ge=1, description="Pictures encoded together.")
    workers: int = Field(
        default_factory=lambda: min(8, os.cpu_count() or 1),
        ge=1,
        description="Threads that decode pictures.",
    )
    max_image_bytes: int = Field(
        default=DEFAULT_LIMITS.max_bytes, ge=1, description="Largest picture file, in bytes."
    )
    max_image_pixels: int = Field(
        default=DEFAULT_LIMITS.max_pixels, ge=1, description="Largest picture, in pixels."
    )
    max_waiting: int = Field(
        default=64, ge=1, description="Calls that may wait for a model; beyond it the app is busy."
    )
    request_seconds: int = Field(
        default=120,
        ge=1,
        description="Longest that a request of the API is worked on; an upload's way not counted.",
    )
    max_upload_files: int = Field(default=100, ge=1, description="Pictures uploaded together.")
    max_upload_bytes: int = Field(
        default=500 * 2**20, ge=1, description="All files of one upload together, in bytes."
    )
    max_zip_files: int = Field(default=50_000, ge=1, description="Files in an uploaded zip.")
    max_zip_bytes: int = Field(
        default=4 * 2**30, ge=1, description="An uploaded zip when it is unpacked, in bytes."
    )
    source_root: Path | None = Field(
        default=None,
        description="Folder of this machine inside which the app may ingest; empty: nowhere.",
    )
    max_upload_seconds: int = Field(
        default=1800, ge=1, description="How long one upload may take, in seconds."
    )
    admins: _Names = Field(
        default=(),
        description="E-mails of those who sign in and may do everything, separated by commas; "
        "without sign-in nobody is asked for a name.",
    )
    writers: _Names = Field(
        default=(),
        description="E-mails, and domains as @example.org, of those who sign in and may also make "
        "and fill collections.",
    )
    readers: _Names = Field(
        default=(),
        description="E-mails, and domains as @example.org, of those who sign in and may look and "
        "describe; empty: everybody with an account of the provider.",
    )
    open: bool = Field(
        default=False,
        description="Listen on other addresses than this machine's own without keys or sign-in: "
        "who reaches the port may do everything.",
    )
    hosts: _Names = Field(
        default=(),
        description="Names under which browsers reach the server, separated by commas, beside "
        "localhost, IP addresses and that of the sign-in.",
    )
    cors_origins: _Names = Field(
        default=(),
        description="Web pages of other servers that may call the API with a key, as "
        "https://example.org, separated by commas.",
    )
    rate_limit: str = Field(
        default="6000/minute",
        description="Calls of the API that a key or a person may make, as 10/second; off: no "
        "limit.",
    )
    qdrant_url: str = Field(
        default="",
        description="Qdrant server; empty: embedded store. Of a cluster several addresses, "
        "separated by commas: where one is gone the next is asked.",
    )
    qdrant_api_key: SecretStr = Field(default=SecretStr(""), description="Key of that server.")
    qdrant_grpc_port: Annotated[tuple[_Port, ...], NoDecode] = Field(
        default=(6334,), description="Its gRPC port; of several addresses one for all or for each."
    )
    qdrant_shards: int = Field(
        default=0,
        ge=0,
        description="Shards of an index on a server; 0: as many as the cluster has nodes. This "
        "and the next three are for indexes written from now on (`mrag push --rebuild`).",
    )
    qdrant_replicas: int = Field(
        default=0,
        ge=0,
        description="Nodes that keep each shard; 0: 2 where there are 3 nodes or more, else 1.",
    )
    qdrant_write_consistency: int = Field(
        default=0,
        ge=0,
        description="Replicas that must have taken a write before it counts; 0: the server's 1.",
    )
    qdrant_read_fan_out: int = Field(
        default=0,
        ge=0,
        description="Further replicas asked at each read, of which the quickest answers.",
    )

    @property
    def limits(self) -> Limits:
        """The largest picture that is opened."""
        return Limits(self.max_image_bytes, self.max_image_pixels)

    @field_validator("qdrant_grpc_port", mode="before")
    @classmethod
    def _ports(cls, given: Any) -> Any:
        if isinstance(given, str):
            return [part.strip() for part in given.split(",")]
        return (given,) if isinstance(given, int) else given

    @field_validator("admins", "writers", "readers", "hosts", "cors_origins", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        """What is separated by commas, in small letters, as e-mails and hosts are compared."""
        parts = given.split(",") if isinstance(given, str) else given
        return tuple(part.strip().lower() for part in parts if part.strip())

    @field_validator("admins")
    @classmethod
    def _accounts(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return _each(given, (_ACCOUNT,), "an e-mail in ASCII, as jo@example.org")

    @field_validator("writers", "readers")
    @classmethod
    def _accounts_and_domains(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return _each(given, (_ACCOUNT, _DOMAIN), "an e-mail or @domain in ASCII, as @example.org")

    @field_validator("hosts")
    @classmethod
    def _host_names(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return _each(given, (_HOST,), "a host name without port, as pictures.example.org")

    @field_validator("cors_origins")
    @classmethod
    def _web_origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return _each(given, (_ORIGIN,), "an origin, as https://example.org")

    @field_validator("rate_limit")
    @classmethod
    def _rate(cls, given: str) -> str:
        from limits import parse_many  # here: few commands count anything

        if given.strip().lower() == "off":
            return ""
        try:
            parse_many(given)
        except ValueError as error:
            raise ValueError("name a number and a span of time, as 600/minute, or off") from error
        return given

    @field_validator("home", "cache", "source_root")
    @classmethod
    def _place(cls, folder: Path | None) -> Path | None:
        """The same folder from wherever it is named."""
        return None if folder is None else folder.expanduser().absolute()

    def models(self) -> tuple[str, str]:
        """The encoder and generator to use: the explicit ones, else the profile's.

        Raises InvalidInput for an unknown profile.
        """
        if self.profile not in PROFILES:
            raise InvalidInput(
                f"unknown profile {self.profile!r}; choose one of {', '.join(PROFILES)}"
            )
        encoder, generator = PROFILES[self.profile]
        return self.encoder or encoder, self.generator or generator


def _each(
    given: tuple[str, ...], forms: tuple[re.Pattern[str], ...], wanted: str
) -> tuple[str, ...]:
    for one in given:
        if not any(form.fullmatch(one) for form in forms):
            raise ValueError(f"{one!r} is not {wanted}")
    return given


def read_settings(given: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the environment, those in `given` first; raises InvalidInput."""
    try:
        return Settings(**(given or {}))
    except ValidationError as error:
        problems = "; ".join(
            f"MRAG_{str(problem['loc'][0]).upper()} = {problem['input']!r}: {problem['msg']}"
            for problem in error.errors()
        )
        raise InvalidInput(f"settings cannot be used: {problems}") from error


_NOT_OURS = frozenset(("MRAG_PICTURES",))
"""Read by docker-compose.yml, which says there what it is; in `.env` it stands among settings."""


def variables() -> list[str]:
    """The variables that settings are read from, in the order of the class."""
    return [f"MRAG_{name.upper()}" for name in Settings.model_fields]


def mistyped(environment: Iterable[str]) -> list[str]:
    """What to say of variables that look like settings and are none: a line for each."""
    known = variables()
    told = []
    for name in sorted(environment):
        plain = name.upper()  # settings are read from names in small letters, too
        if not plain.startswith("MRAG_") or plain.startswith("MRAG_TEST_"):
            continue
        if plain not in known and plain not in _NOT_OURS:
            near = get_close_matches(plain, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "the README lists all settings"
            told.append(f"{name} is no setting and changes nothing; {hint}")
    return told
