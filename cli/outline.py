"""Videos in words at the terminal: shot by shot as they come, or as subtitles beside the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cli.doors import as_here
from cli.output import console, emit, plain, say, short_path
from engine.errors import InvalidInput, MragError, UnreadableImage
from engine.progress import OnProgress, Progress, silent
from engine.video.address import clock
from mrag_client.answers import Answers, NamedPicture
from mrag_client.errors import ClientError
from mrag_client.models import OutlineAnswer, OutlineOptions
from service.takeaway.describing import Counts
from service.takeaway.outputs import Untaken
from service.takeaway.subtitles import SubtitleFiles

_TOGETHER = 16
"""Shots that are asked for at once: few enough to be there soon."""


def outlines(
    answers: Answers,
    video: Path,
    options: OutlineOptions,
    collection: str,
    on_progress: OnProgress = silent,
) -> Iterator[OutlineAnswer]:
    """What is seen in a video, part by part; raises UnreadableImage for what is none."""
    start: float | None = options.start
    while start is not None:
        asked = options.model_copy(update={"start": start, "shots": _TOGETHER})
        try:
            part = answers.outline(NamedPicture(str(video), video), asked, collection=collection)
        except ClientError as error:  # a server's word on this video, after which others come
            raise _of(video, as_here(error)) from error
        if part.shots:
            total = None if part.seconds is None else max(1, round(part.seconds))
            seconds = round(part.shots[-1].end)
            on_progress(Progress(f"watch {video.name}", seconds, total, "seconds"))
        yield part
        start = part.next


def _of(video: Path, error: MragError) -> MragError:
    """The error as an engine here tells it: a server knows a video by its last name alone."""
    told = str(error)
    if isinstance(error, UnreadableImage) and told.startswith(f"{video.name}: "):
        return UnreadableImage(f"{video}{told.removeprefix(video.name)}")
    return error


def show_part(part: OutlineAnswer, *, as_json: bool) -> None:
    """Show what was seen, a line for each shot."""
    if as_json:
        emit(part.model_dump(mode="json"))
        return
    out = console()
    for shot in part.shots:
        out.print(
            plain(f"{short_path(part.video)} at {clock(shot.start)}:", "dim"),
            plain(shot.caption or f"({shot.error})", "bold"),
        )
    if part.trouble:
        say(f"mrag: {short_path(part.video)}: {part.trouble}")


class VideoDescriber:
    """Describes videos, into subtitles beside them, or else onto the terminal; counts them."""

    def __init__(
        self,
        answers: Answers,
        files: Sequence[SubtitleFiles],
        options: OutlineOptions,
        *,
        collection: str,
        show: Callable[[OutlineAnswer], None],
    ) -> None:
        self._answers, self._files, self._options = answers, files, options
        self._collection, self._show = collection, show
        self.described = self.left_out = self.failed = 0

    def run(self, videos: Sequence[Path], on_progress: OnProgress = silent) -> None:
        """Describe those that lack one of the files."""
        for video in videos:
            try:
                self._describe(video, on_progress)
            except (InvalidInput, UnreadableImage) as error:
                self.failed += 1
                say(f"mrag: {str(error) if str(video) in str(error) else f'{video}: {error}'}")

    def added_to(self, counts: Counts) -> Counts:
        """What was done, videos and pictures together."""
        return replace(
            counts,
            described=counts.described + self.described,
            left_out=counts.left_out + self.left_out,
            failed=counts.failed + self.failed,
        )

    def _describe(self, video: Path, on_progress: OnProgress) -> None:
        wanting = [one for one in self._files if one.wants(video)]
        if self._files and not wanting:
            self.left_out += 1
            return
        parts = []
        for part in outlines(self._answers, video, self._options, self._collection, on_progress):
            parts.append(part)
            if not wanting:
                self._show(part)
        if wanting and not any(shot.caption for part in parts for shot in part.shots):
            raise Untaken(f"{video}: nothing could be written of it")
        for one in wanting:
            one.write(video, parts)
        self.described += 1
