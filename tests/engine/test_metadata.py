"""What files and sidecars say of pictures: joined, bounded, legible, and never in the way."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from engine.images import open_picture, read_facts
from engine.metadata.exif import camera_of
from engine.metadata.facts import MOST_KEYWORDS, NO_FACTS, Facts, facts, joined
from engine.metadata.sidecars import Sidecars, read_sidecar, stamp
from engine.metadata.xmp import xmp_facts
from engine.types import NO_METADATA, Metadata
from tests.xmp import packet

GPS = ExifTags.GPS


def exif_of(**gps: object) -> Image.Exif:
    exif = Image.Exif()
    places = {getattr(GPS, name): value for name, value in gps.items()}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(places)
    return exif


def jpeg(exif: Image.Exif | None = None, xmp: bytes = b"", form: str = "JPEG") -> bytes:
    saved = BytesIO()
    told: dict[str, Any] = {} if exif is None else {"exif": exif}
    if xmp and form == "PNG":
        told["pnginfo"] = PngInfo()
        told["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif xmp:
        told |= {"tiffinfo": {700: xmp}} if form == "TIFF" else {"xmp": xmp}
    Image.new("RGB", (8, 8)).save(saved, form, **told)
    return saved.getvalue()


def said_by(data: bytes) -> Facts:
    return open_picture(data).facts


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("Canon", "Canon EOS R6", "Canon EOS R6"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("OLYMPUS IMAGING CORP.", "E-M1", "OLYMPUS E-M1"),
        ("SONY", "ILCE-7M3", "SONY ILCE-7M3"),
        ("EASTMAN KODAK COMPANY", "KODAK EASYSHARE", "KODAK EASYSHARE"),
        ("Samsung Electronics Co., Ltd.", "SM-G991B", "Samsung Electronics SM-G991B"),
        ("Apple", "", "Apple"),
        ("", "iPhone  12 ", "iPhone 12"),
        ("", "", ""),
    ],
)
def test_a_camera_has_its_maker_once(make: str, model: str, expected: str) -> None:
    assert camera_of(make, model) == expected


def test_exif_says_camera_lens_date_place_and_rating() -> None:
    exif = exif_of(
        GPSLatitude=(38.0, 42.0, 40.32),
        GPSLatitudeRef="N",
        GPSLongitude=(9.0, 7.0, 39.72),
        GPSLongitudeRef="W",
    )
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon\0", "Canon EOS R6\0 "
    exif[ExifTags.Base.Rating] = 4
    about = exif.get_ifd(ExifTags.IFD.Exif)
    about[ExifTags.Base.LensModel] = "RF24-105mm"
    about[ExifTags.Base.DateTimeOriginal] = "2021:05:01 12:30:00"
    found = said_by(jpeg(exif))
    assert found.taken_at == datetime(2021, 5, 1, 12, 30)
    assert found.metadata == Metadata("Canon EOS R6", "RF24-105mm", 38.7112, -9.1277, rating=4)


@pytest.mark.parametrize("code", ["utf-8", "latin-1"])
def test_exif_is_read_as_programs_write_it_not_in_ascii_alone(code: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Größe".encode(code)
    assert said_by(jpeg(exif)).metadata.camera == "Größe"


@pytest.mark.parametrize(
    "gps",
    [
        {"GPSLatitude": (0.0, 0.0, 0.0), "GPSLongitude": (0.0, 0.0, 0.0)},
        {"GPSLatitude": (91.0, 0.0, 0.0)},
        {"GPSLongitude": (180.0, 1.0, 0.0)},
        {"GPSLatitude": (IFDRational(1, 0), 0.0, 0.0)},
        {"GPSLatitudeRef": "X"},
        {"GPSLatitudeRef": ""},
        {"GPSLatitude": ()},
    ],
)
def test_places_that_cannot_be_are_dropped(gps: dict[str, object]) -> None:
    whole = {
        "GPSLatitude": (10.0, 0.0, 0.0),
        "GPSLatitudeRef": "N",
        "GPSLongitude": (20.0, 0.0, 0.0),
        "GPSLongitudeRef": "E",
    }
    assert said_by(jpeg(exif_of(**whole))).metadata == Metadata(latitude=10.0, longitude=20.0)
    assert said_by(jpeg(exif_of(**whole | gps))).metadata == NO_METADATA


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_in_a_file_is_read_without_its_pixels_too(form: str, tmp_path: Path) -> None:
    said = packet(subject=["sea", "Sun"], title="Trams", Rating="5", GPSLatitude="38,42.672N")
    path = tmp_path / "a"
    path.write_bytes(jpeg(xmp=said, form=form))
    expected = Facts(None, Metadata(title="Trams", rating=5, keywords=("sea", "Sun")))
    assert said_by(path.read_bytes()) == read_facts(path) == expected


def test_xmp_says_what_exif_would() -> None:
    found = xmp_facts(
        packet(
            DateTimeOriginal="2021-05-01T12:30:00+02:00",
            GPSLatitude="38,42,40.32N",
            GPSLongitude="9,7.662W",
            Make="SONY",
            Model="ILCE-7",
            Lens="FE 50mm",
        )
    )
    zone = timezone(timedelta(hours=2))
    assert found.taken_at == datetime(2021, 5, 1, 12, 30, tzinfo=zone)
    assert found.metadata == Metadata("SONY ILCE-7", "FE 50mm", 38.7112, -9.1277)


def test_a_title_in_several_languages_is_the_default_one() -> None:
    listed = (
        '<dc:title><rdf:Alt><rdf:li xml:lang="de">Bahn</rdf:li>'
        '<rdf:li xml:lang="x-default">Tram</rdf:li></rdf:Alt></dc:title>'
    )
    assert xmp_facts(packet(more=listed)).metadata.title == "Tram"


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>"""
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff\xfe not xml",
        b"<x",
        BOMB,
        OUTSIDE,
        b"<a>" * 100_000,
        packet(title="x" * 17_000_000),
        packet(Rating="NaN", GPSLatitude="nan", GPSLongitude="1e999"),
        packet(Rating="4711", DateTimeOriginal="0000-00-00T00:00:00"),
        packet(Rating="0", DateTimeOriginal="0001-01-01T00:00:00", GPSLatitude="95,0N"),
    ],
)
def test_hostile_and_absurd_xmp_says_nothing(said: bytes) -> None:
    assert xmp_facts(said) == NO_FACTS


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells of damaged tags
@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 600), st.booleans())
def test_no_damage_to_what_a_file_says_stops_the_picture(
    noise: bytes, at: int, of_exif: bool
) -> None:
    exif = exif_of(GPSLatitude=(10.0, 0.0, 0.0), GPSLatitudeRef="N")
    exif[ExifTags.Base.Make] = "Canon"
    data = jpeg(exif, packet(subject=["sea"], title="Trams"))
    name = b"http://ns.adobe.com/xap/1.0/\0"
    between = data.index(name)  # four bytes before it the next segment begins
    begin, end = between + len(name), data.index(b"</x:xmpmeta>")
    if of_exif:
        begin, end = data.index(b"Exif\0\0") + 6, between - 4
    spot = begin + at % (end - begin)
    written = noise[: end - spot]
    damaged = data[:spot] + written + data[spot + len(written) :]
    assert open_picture(damaged).image.size == (8, 8)


@settings(max_examples=40)
@given(st.text(max_size=500), st.lists(st.text(max_size=150), max_size=130))
def test_texts_are_one_legible_line_and_bounded(title: str, keywords: list[str]) -> None:
    about = facts(title=title, camera=title, lens=title, keywords=keywords).metadata
    for text in (about.title, about.camera, about.lens, *about.keywords):
        assert text.isprintable() or not any(ord(letter) < 32 for letter in text)
        assert len(text) <= 300
        assert "\u202e" not in text
    assert len(about.keywords) <= MOST_KEYWORDS


def test_of_several_who_say_it_the_first_counts_and_keywords_are_joined() -> None:
    first = facts(title="A", rating=2, keywords=["sea", "sun"])
    second = facts(
        title="B",
        camera="C",
        place=(1.0, 2.0),
        taken_at=datetime(2021, 5, 1),
        keywords=["SUN", "x"],
    )
    assert joined([first, second]) == Facts(
        datetime(2021, 5, 1), Metadata("C", "", 1.0, 2.0, "A", 2, ("sea", "sun", "x"))
    )


def test_sidecars_lie_beside_under_either_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.jpg.XMP", "a.xmp", "b.jpg", "B.xmp", "c.jpg.txt"):
        (tmp_path / name).touch()
    there = Sidecars()
    assert [path.name for path in there.of(tmp_path / "a.jpg")] == ["a.jpg.XMP", "a.xmp"]
    assert [path.name for path in there.of(tmp_path / "b.jpg")] == ["B.xmp"]
    assert there.of(tmp_path / "c.jpg") == there.of(tmp_path / "none" / "a.jpg") == ()
    before = stamp(there.of(tmp_path / "a.jpg"))
    (tmp_path / "a.xmp").write_text("more")
    assert before != stamp(there.of(tmp_path / "a.jpg"))
    assert stamp(()) == ""


def test_a_sidecar_whose_name_is_no_text_can_be_noted(tmp_path: Path) -> None:
    sidecar = tmp_path / os.fsdecode(b"\xff.xmp")
    sidecar.touch()
    assert stamp([sidecar]).encode()


def test_a_sidecar_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(BOMB)
    with pytest.raises(ValueError, match="document type"):
        read_sidecar(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="named pipe"):
        read_sidecar(path)


@pytest.mark.skipif(which("exiftool") is None, reason="exiftool is not installed")
def test_what_exiftool_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    told = {
        "IPTC:Keywords": "Köln",
        "IPTC:CodedCharacterSet": "UTF8",
        "IPTC:ObjectName": "Dom",
        "IPTC:DateCreated": "2001:02:03",
        "XMP-dc:Subject": "Rhein",
        "EXIF:XPKeywords": "Dom;Rhein",
        "EXIF:GPSLatitude": "50.9413",
        "EXIF:GPSLatitudeRef": "N",
        "EXIF:GPSLongitude": "6.9583",
        "EXIF:GPSLongitudeRef": "E",
        "XMP-xmp:Rating": "-1",
    }
    options = [f"-{name}={value}" for name, value in told.items()]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *options, path], check=True)
    expected = Metadata(
        latitude=50.9413,
        longitude=6.9583,
        title="Dom",
        rating=-1,
        keywords=("Dom", "Rhein", "Köln"),
    )
    assert read_facts(path) == Facts(datetime(2001, 2, 3), expected)
