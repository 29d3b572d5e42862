"""The jars that SPICE needs and pycocoevalcap does not bring: found, or fetched once and checked.

They lie in the program's cache (`MRAG_CACHE`), and come from the Maven repository that
`MRAG_MAVEN_URL` names. Without one, copies made elsewhere may be put there by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from engine.download import OnBytes, fetch, silent
from engine.errors import DownloadFailed, MetricUnavailable

_PATIENCE_S = 1800
"""How long another process may take that is fetching the same."""


@dataclass(frozen=True)
class Jar:
    """A file of a Maven repository: its coordinates, its size in bytes and its SHA-256."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str
    classifier: str = ""

    @property
    def name(self) -> str:
        """The file name."""
        parts = [self.artifact, self.version, *([self.classifier] if self.classifier else [])]
        return f"{'-'.join(parts)}.jar"

    @property
    def path(self) -> str:
        """Where it lies in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


CORENLP = (
    Jar(
        "edu.stanford.nlp",
        "stanford-corenlp",
        "3.6.0",
        7_270_741,
        "d341d5863276f55782c5ef73212222d6b3b48e02ae1951ab6de7618d28b12742",
    ),
    Jar(
        "edu.stanford.nlp",
        "stanford-corenlp",
        "3.6.0",
        378_116_526,
        "d285157bd7887ee3018094b5dbae092e49088b023361ccdb550ee1daf9b2c9bd",
        classifier="models",
    ),
)
"""The parser that SPICE reads captions with."""

RHINO = (
    Jar(
        "org.mozilla",
        "rhino",
        "1.7.15",
        1_407_735,
        "2427fdcbc149ca0a25ccfbb7c71b01f39ad42708773a47816cd2342861766b63",
    ),
    Jar(
        "org.mozilla",
        "rhino-engine",
        "1.7.15",
        19_604,
        "b7bbb6724812a8ba6c650cf4a1e655a24af4d73a321add5a64a54c2d5963ce00",
    ),
)
"""A JavaScript engine: SPICE writes its result through one, and Java brings none since 15."""


def jars_in(
    folder: Path, jars: Sequence[Jar], maven_url: str, on_bytes: OnBytes = silent
) -> list[Path]:
    """The paths of jars in a folder; those that are not there are fetched first.

    A jar that is there is taken by its size: its checksum was right when it was fetched.
    Processes that need the same jars wait for the one that fetches them.

    Raises MetricUnavailable; it says where to put them by hand.
    """
    missing = [jar.name for jar in jars if not is_there(folder / jar.name, jar)]
    if missing and not maven_url:
        raise MetricUnavailable(
            f"{', '.join(missing)} are not in {folder}; set MRAG_MAVEN_URL to the address of Maven "
            "Central or a mirror to have them fetched, or put them there"
        )
    if missing:
        try:
            _fetch_missing(folder, jars, maven_url, on_bytes)
        except DownloadFailed as error:
            raise MetricUnavailable(str(error)) from error
        except OSError as error:
            raise MetricUnavailable(
                f"the folder {folder} cannot be written ({error.strerror}); "
                "set MRAG_CACHE to one that can"
            ) from error
        except Timeout as error:
            raise MetricUnavailable(
                f"another process is fetching jars to {folder}; wait until it has finished"
            ) from error
    return [folder / jar.name for jar in jars]


def is_there(path: Path, jar: Jar) -> bool:
    """Whether the file of a jar is there, whole."""
    return path.is_file() and path.stat().st_size == jar.size


def _fetch_missing(folder: Path, jars: Sequence[Jar], maven_url: str, on_bytes: OnBytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=_PATIENCE_S):
        for jar in jars:
            if not is_there(folder / jar.name, jar):
                fetch(
                    f"{maven_url.rstrip('/')}/{jar.path}",
                    folder / jar.name,
                    size=jar.size,
                    checksum=f"sha256:{jar.sha256}",
                    by_hand=f"put it into {folder}, or set MRAG_MAVEN_URL to a mirror",
                    on_bytes=on_bytes,
                    first_wait=0.2,
                )
