"""The card of a collection: read, or refused with what is wrong and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from engine.collection import LAYOUT, CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex

CARD = CollectionCard("shop", "ViT-B-32/openai", "ViT-B-32/openai@1", 512, "consensus", "coco")


@pytest.fixture
def folder(tmp_path: Path) -> CollectionFolder:
    """A collection with a good card."""
    folder = CollectionFolder(tmp_path, "shop")
    folder.write_card(CARD)
    return folder


def test_a_card_is_read_as_it_was_written(folder: CollectionFolder) -> None:
    assert folder.read_card() == CARD


def test_a_card_may_say_more_than_is_known(folder: CollectionFolder) -> None:
    """A later version may add to the card without a new layout."""
    _write(folder, json.dumps({**asdict(CARD), "colour": "blue"}))
    assert folder.read_card() == CARD


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", "\ud800", '{"layout": 2, "name": "shop"}']
)
def test_a_damaged_card_is_refused_with_its_remedy(folder: CollectionFolder, text: str) -> None:
    _write(folder, text)
    with pytest.raises(IncompatibleIndex, match=r"collection\.json cannot be read .*delete that"):
        folder.read_card()


@pytest.mark.parametrize(("name", "value"), [("encoder", 3), ("dim", "x"), ("generator", [])])
def test_a_card_of_wrong_types_is_refused_by_name(
    folder: CollectionFolder, name: str, value: Any
) -> None:
    _write(folder, json.dumps({**asdict(CARD), name: value}))
    with pytest.raises(IncompatibleIndex, match=name):
        folder.read_card()


def test_another_layout_is_refused(folder: CollectionFolder) -> None:
    _write(folder, json.dumps({"layout": LAYOUT + 1}))
    with pytest.raises(IncompatibleIndex, match=f"layout {LAYOUT + 1}.*reads layout {LAYOUT}"):
        folder.read_card()


def _write(folder: CollectionFolder, text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    (folder.path / "collection.json").write_bytes(content)
