"""Fetches one file over HTTP: resumed where it was cut, verified before it counts."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import MappingProxyType

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from engine.errors import DownloadFailed
from engine.progress import OnProgress, Progress, check_cancelled, ticking

_FRUITFUL = 2**20
"""A connection that brought so many bytes before it was cut does not count as an attempt."""
_TRIES = 6
_RETRIED = frozenset({408, 425, 429})
_TOLD_EVERY_S = 0.25

OnBytes = Callable[[int, int], None]
"""Is told how many bytes have arrived, and of how many."""


def silent(have: int, size: int) -> None:
    """Tell nobody."""
    del have, size


def as_progress(stage: str, on_progress: OnProgress) -> OnBytes:
    """Tells of a fetch as a stage in bytes, with the seconds left; where cancelled, it stops."""
    began: tuple[float, int] | None = None
    told = float("-inf")

    def on_bytes(have: int, size: int) -> None:
        nonlocal began, told
        check_cancelled()
        now = monotonic()
        began = began or (now, have)
        if now - told < _TOLD_EVERY_S and have < size:
            return
        told = now
        came, took = have - began[1], now - began[0]
        left = round((size - have) * took / came) if came and took > 1 else None
        on_progress(Progress(stage, have, size, "bytes", left))

    return on_bytes


class _Cut(Exception):
    """The connection brought little or nothing; another may bring more."""


def fetch(
    url: str,
    target: Path,
    *,
    size: int,
    checksum: str,
    by_hand: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    on_bytes: OnBytes = silent,
    first_wait: float = 1.0,
) -> None:
    """Fetch a file of known size and checksum (`algorithm:hex`, or "" for none) to `target`.

    What has arrived waits in `target`.part, so a killed run goes on where it was; the file
    gets its name only when it is whole and its checksum is right. Cut connections and busy
    servers are tried again, six times in a row without progress, waiting `first_wait` seconds
    and each time twice as long. A file that is there already and right is not fetched.

    Raises DownloadFailed; it names the remedy, with `by_hand` to say where a copy that was got
    elsewhere is to be put.
    """
    if matches(target, size, checksum):
        return
    download = _Download(url, target, size, by_hand, headers, on_bytes)
    # What an earlier run left may have been damaged on disk: then once more from the start.
    for _ in range(2 if download.have() else 1):
        download.run(first_wait)
        with ticking("compare what has arrived with its checksum (seconds)"):
            is_right = matches(download.part, size, checksum)
        if is_right:
            download.part.replace(target)
            download.forget()
            return
        download.forget()
    raise download.failure(
        f"what arrived is not the file expected (its {checksum.partition(':')[0]} differs)"
    )


def matches(path: Path, size: int, checksum: str) -> bool:
    """Whether a file is there with this size and checksum (`algorithm:hex`, or "" for any)."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    algorithm, _, digest = checksum.partition(":")
    if not algorithm:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digest.lower()


class _Download:
    """The part of a file that has arrived, and how to get the rest."""

    def __init__(
        self,
        url: str,
        target: Path,
        size: int,
        by_hand: str,
        headers: Mapping[str, str],
        on_bytes: OnBytes,
    ) -> None:
        self.part = target.with_name(f"{target.name}.part")
        # What the server calls this version of the file, so that halves of two are not joined.
        self._version = target.with_name(f"{target.name}.version")
        self._url, self._size, self._by_hand, self._on_bytes = url, size, by_hand, on_bytes
        self._given = headers

    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def failure(self, what: str) -> DownloadFailed:
        return DownloadFailed(
            f"{self._url} could not be fetched: {what}. Try again later, or get the file "
            f"elsewhere, {self._by_hand}"
        )

    def run(self, first_wait: float) -> None:
        """Go on until all bytes are there; more attempts as long as they bring something."""
        attempts = Retrying(
            retry=retry_if_exception_type(_Cut),
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential(multiplier=first_wait),
            reraise=True,
        )
        timeout = httpx.Timeout(60, connect=30)
        with self._explained(), httpx.Client(follow_redirects=True, timeout=timeout) as client:
            self._make_room()
            while self.have() < self._size:
                attempts(self._attempt, client)

    def _make_room(self) -> None:
        if self.have() > self._size:
            self.forget()
        self.part.parent.mkdir(parents=True, exist_ok=True)
        needed, free = self._size - self.have(), shutil.disk_usage(self.part.parent).free
        if needed > free:
            raise self.failure(
                f"{needed:,} bytes are needed in {self.part.parent} and {free:,} are free"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _Cut as error:
            raise self.failure(
                f"{_TRIES} attempts in a row failed, the last with: {error}; {self.have():,} of "
                f"{self._size:,} bytes are kept and the next run goes on from there"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.failure(f"{error}") from error
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            what = "the disk is full" if full else str(error.strerror)
            raise self.failure(
                f"{self.part} cannot be written: {what} ({self._size:,} bytes are needed)"
            ) from error

    def _attempt(self, client: httpx.Client) -> None:
        """One connection; raises _Cut if it ended early with little to show for it."""
        before = self.have()
        try:
            with client.stream("GET", self._url, headers=self._headers()) as response:
                self._take(response)
        except httpx.TransportError as error:
            if self.have() - before < _FRUITFUL:
                raise _Cut(f"{type(error).__name__}: {error}") from error
        else:
            if self.have() < self._size and self.have() - before < _FRUITFUL:
                raise _Cut(f"the server ended after {self.have():,} of {self._size:,} bytes")

    def _headers(self) -> dict[str, str]:
        headers = {**self._given, "Accept-Encoding": "identity"}
        if have := self.have():
            headers["Range"] = f"bytes={have}-"
            if self._version.exists():
                headers["If-Range"] = self._version.read_text(encoding="ascii")
        return headers

    def _take(self, response: httpx.Response) -> None:
        self._check_status(response)
        have = self.have() if response.status_code == 206 else 0
        self._check_length(response, have)
        if not have:
            self._note_version(response)
        with self.part.open("ab" if have else "wb") as file:
            for chunk in response.iter_raw():
                have += len(chunk)
                if have > self._size:
                    file.close()
                    self.forget()
                    raise self.failure(
                        f"the server sends more than the {self._size:,} bytes expected"
                    )
                file.write(chunk)
                self._on_bytes(have, self._size)

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in _RETRIED or status >= 500:
            raise _Cut(f"the server answered {status} {response.reason_phrase}")
        if status == 416:  # it has no more than what is here: what is here is of another file
            self.forget()
            raise _Cut("the server's file ends before what had arrived")
        if status not in {200, 206}:
            raise self.failure(f"the server answered {status} {response.reason_phrase}")

    def _check_length(self, response: httpx.Response, have: int) -> None:
        """Refuse a file of another length before any of it is fetched.

        What has arrived is kept: a 200 may be the log-in page of a café's network.
        """
        if response.status_code == 206:
            said = response.headers.get("Content-Range", "no range")
            right = re.fullmatch(rf"bytes {have}-\d+/({self._size}|\*)", said) is not None
        else:
            said = f"{response.headers.get('Content-Length', self._size)} bytes"
            right = said == f"{self._size} bytes"
        if not right:
            raise self.failure(
                f"the server offers {said} where the file has {self._size} bytes, of which "
                f"{have} are here"
            )

    def _note_version(self, response: httpx.Response) -> None:
        tag = response.headers.get("ETag", "")
        version = response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
        self._version.unlink(missing_ok=True)
        if version and version.isascii():
            self._version.write_text(version, encoding="ascii")
