"""Public captions for people who have pictures and no captions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from corpus.records import CaptionRecord, Counted, ImageRecord, Record
from engine.download import as_progress, fetch, matches
from engine.errors import DownloadFailed, SourceError
from engine.progress import OnProgress, silent
from ingest.readers import open_captions, open_source
from ingest.unpack import unpack

_TRAIN, _VAL = "captions_train2017.json", "captions_val2017.json"


@dataclass(frozen=True)
class Archive:
    """A zip archive, and what is wanted of it.

    `path` is under the source's address, `size` in bytes, `checksum` is `algorithm:hex`.
    Members that match `wanted` are unpacked to `folder`, at most `unpacked` bytes.
    """

    path: str
    size: int
    checksum: str
    what: str
    wanted: str
    folder: str
    unpacked: int

    @property
    def name(self) -> str:
        """The file name."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class MemorySource:
    """A public set of captions with pictures to some of them.

    `pairs` counts the pictures, `texts` the captions that have none.
    """

    name: str
    what: str
    base_url: str
    annotations: Archive
    pictures: Archive
    pairs: int
    texts: int
    licence: str

    def announcement(self) -> str:
        """What would be fetched, how large it is and under what licence: said beforehand."""
        archives = (self.annotations, self.pictures)
        files = [f"  {_megabytes(a.size):>9}  {a.path}: {a.what}" for a in archives]
        stays = _megabytes(sum(archive.unpacked for archive in archives))
        total = _megabytes(sum(archive.size for archive in archives))
        return "\n".join(
            [
                f"{self.what}",
                f"From {self.base_url}, {total} together, each checked by its checksum:",
                *files,
                f"Up to {stays} stay on disk once the archives are unpacked and removed.",
                f"Licence: {self.licence}",
            ]
        )


# Sizes and SHA-256 agree in more than ten independent public repositories that pin these two
# archives (COCO publishes none of its own). The address is plain http, as COCO gives it: the
# SHA-256 is what guards against damage and against tampering on the way.
COCO = MemorySource(
    name="coco",
    what="COCO 2017: 616,767 captions that people wrote, 25,014 of them with their 5,000 pictures.",
    base_url="http://images.cocodataset.org",
    annotations=Archive(
        path="annotations/annotations_trainval2017.zip",
        size=252_907_541,
        checksum="sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        what="captions of train2017 and val2017",
        wanted=r"annotations/captions_(train|val)2017\.json",
        folder="annotations",
        unpacked=100_000_000,
    ),
    pictures=Archive(
        path="zips/val2017.zip",
        size=815_585_330,
        checksum="sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        what="the 5,000 pictures of val2017",
        wanted=r"val2017/\d{12}\.jpg",
        folder="val2017",
        unpacked=900_000_000,
    ),
    pairs=5_000,
    texts=616_767 - 25_014,
    licence="captions: Creative Commons Attribution 4.0, by the COCO Consortium "
    "(https://cocodataset.org/#termsofuse). Pictures: not the Consortium's; whoever uses them "
    "does so under the Flickr Terms of Use and answers for it.",
)


def coco_records(
    home: Path,
    *,
    source: MemorySource = COCO,
    from_folder: Path | None = None,
    limit: int | None = None,
    on_progress: OnProgress = silent,
) -> Iterator[Record]:
    """Get COCO's captions, and stream them: first val2017's pictures with theirs, then train2017's.

    Fetched and unpacked under `home`/downloads/coco, once; what was cut goes on where it was.
    `from_folder` is a copy made elsewhere, with no network: the two archives, or the folders
    annotations and val2017 that they unpack to. All of it is of split "train", whatever COCO
    calls it: in this memory the pictures of val2017 are the pairs that the map is fitted on,
    so nothing fitted here may be judged on them. `limit` takes so many of train2017's captions.

    Raises DownloadFailed or SourceError before the first record.
    """
    work = home / "downloads" / source.name
    if from_folder is not None and not from_folder.is_dir():
        raise SourceError(f"there is no folder {from_folder} to take {source.name} from")
    with _one_at_a_time(work):
        annotations, pictures = (
            _folder_of(archive, source, work, from_folder, on_progress)
            for archive in (source.annotations, source.pictures)
        )
    pairs = open_source(annotations / _VAL, images=pictures)
    texts = open_captions(annotations / _TRAIN, limit=limit)
    count = source.pairs + min(source.texts, limit or source.texts)
    return Counted(map(_for_training, chain(pairs, texts)), lambda: count)


def _for_training(record: Record) -> Record:
    if isinstance(record, ImageRecord | CaptionRecord):
        return replace(record, split="train")
    return record


def _folder_of(
    archive: Archive,
    source: MemorySource,
    work: Path,
    from_folder: Path | None,
    on_progress: OnProgress,
) -> Path:
    """The folder that holds the archive's wanted files, made if need be."""
    if from_folder and (from_folder / archive.folder).is_dir():
        return from_folder / archive.folder
    folder = work / archive.folder
    if folder.is_dir():
        return folder
    packed = (from_folder or work) / archive.name
    if from_folder:
        _check(archive, packed)
    else:
        fetch(
            f"{source.base_url}/{archive.path}",
            packed,
            size=archive.size,
            checksum=archive.checksum,
            by_hand="put it into a folder and give that with --from FOLDER",
            on_bytes=as_progress(f"fetch {archive.name}", on_progress),
        )
    limit = archive.unpacked
    unpack(packed, folder, wanted=archive.wanted, limit=limit, on_progress=on_progress)
    if not from_folder:
        packed.unlink()
    return folder


def _check(archive: Archive, packed: Path) -> None:
    if not packed.is_file():
        raise SourceError(
            f"{packed.parent} has neither {archive.name} nor a folder {archive.folder}"
        )
    if not matches(packed, archive.size, archive.checksum):
        raise SourceError(
            f"{packed} is not the archive expected: it has {packed.stat().st_size:,} of "
            f"{archive.size:,} bytes, or its checksum is not {archive.checksum}; get it again"
        )


@contextmanager
def _one_at_a_time(work: Path) -> Iterator[None]:
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadFailed(f"the folder {work} cannot be made: {error.strerror}") from error
    try:
        with FileLock(work / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DownloadFailed(
            f"another mrag process is fetching to {work}; wait until it has finished"
        ) from error


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
