"""What an agency or an older program wrote: IPTC, in JPEG and TIFF files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from PIL import Image, ImageFile, IptcImagePlugin

from engine.metadata.facts import NO_FACTS, Facts, facts, text_of

_TITLE, _KEYWORDS, _DATE, _TIME = (2, 5), (2, 25), (2, 55), (2, 60)

Records = Mapping[tuple[int, int], bytes | list[bytes]]


def iptc_facts(image: Image.Image) -> Facts:
    """What is read of it; nothing where it is missing or damaged."""
    records: Records | None = None
    with suppress(Exception):
        if isinstance(image, ImageFile.ImageFile):
            records = IptcImagePlugin.getiptcinfo(image)
    if not records:
        return NO_FACTS
    title = _texts(records, _TITLE)
    return facts(
        taken_at=_taken_at(records),
        title=title[0] if title else "",
        keywords=_texts(records, _KEYWORDS),
    )


def _texts(records: Records, key: tuple[int, int]) -> list[str]:
    value = records.get(key, [])
    return [text_of(one) for one in (value if isinstance(value, list) else [value])]


def _taken_at(records: Records) -> datetime | None:
    """The date, with the time where that is said: 20210501 and 123000+0200."""
    day, time = (next(iter(_texts(records, key)), "") for key in (_DATE, _TIME))
    for text, form in ((day + time, "%Y%m%d%H%M%S%z"), (day, "%Y%m%d")):
        with suppress(ValueError):
            return datetime.strptime(text, form)
    return None
