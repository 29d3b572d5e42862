"""A description is written from the nearest captions and chosen by likeness to the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.describe.captioner import Captioner, DescribeOptions, each_described
from engine.describe.retriever import Retriever
from engine.errors import CollectionMissing, InvalidInput
from engine.evidence.refiners import Refinement
from engine.settings import Settings
from engine.store import CaptionStore, caption_id, open_caption_store
from engine.types import CaptionPoint, Vector

RED, BLUE = (255, 0, 0), (0, 0, 255)
EAST: Vector = np.array([1, 0, 0, 0], np.float32)
NORTH: Vector = np.array([0, 1, 0, 0], np.float32)
UP: Vector = np.array([0, 0, 1, 0], np.float32)
LEANING: Vector = np.array([0.6, 0.8, 0, 0], np.float32)
TEXTS = {
    "a red door": EAST, "a blue lake": NORTH, "red": EAST, "blue": NORTH, "odd": UP,
    "leaning": LEANING,
}  # fmt: skip
# Centring by these means keeps directions apart, so mapped and raw orders agree.
NO_GAP = Alignment.from_means(np.zeros(4), np.zeros(4), n_images=2, n_captions=2)


def picture(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (2, 2), colour)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CaptionStore]:
    card = CollectionCard("shop", "fake", "fake", 4, "consensus")
    folder = CollectionFolder(tmp_path, "shop")
    with open_caption_store(folder, card, Settings(home=tmp_path), create=True) as opened:
        yield opened


@pytest.fixture
def captioner(store: CaptionStore, fake_encoder: Callable[..., Any]) -> Callable[..., Captioner]:
    store.upsert(
        [
            CaptionPoint(caption_id("", text, "human"), text, TEXTS[text], TEXTS[text])
            for text in ("a red door", "a blue lake")
        ]
    )
    encoder = fake_encoder(TEXTS, {RED: EAST, BLUE: NORTH})

    def make(generator: Any, **options: Any) -> Captioner:
        return Captioner(
            encoder, NO_GAP, Retriever([store], NO_GAP), generator, DescribeOptions(**options)
        )

    return make


def test_the_candidate_nearest_to_each_picture_is_its_caption(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    generator = fake_generator("red", "blue")
    results = captioner(generator, k=2, candidates=2).describe([picture(RED), picture(BLUE)])
    assert [result.caption for result in results] == ["red", "blue"]
    assert [c.score for c in results[0].candidates] == pytest.approx([1, 0], abs=1e-6)
    assert [hit.text for hit in results[1].retrieved] == ["a blue lake", "a red door"]
    assert results[0].prompt == generator.prompts[0]
    assert "a red door.\na blue lake." in generator.prompts[0]
    assert "a blue lake.\na red door." in generator.prompts[1]


def test_every_stage_is_timed(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    (result,) = captioner(fake_generator("red")).describe([picture(RED)])
    assert list(result.timings_ms) == [
        "encode", "map", "retrieve", "prompt", "generate", "encode candidates", "score",
    ]  # fmt: skip
    assert all(spent >= 0 for spent in result.timings_ms.values())


def test_the_prompt_budget_is_never_above_what_the_generator_reads(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    generator = fake_generator("red")
    generator.max_input_tokens = 16
    (result,) = captioner(generator, k=2, prompt_tokens=99).describe([picture(RED)])
    assert "a red door" in result.prompt
    assert "a blue lake" not in result.prompt


def test_captions_too_long_for_the_prompt_are_cut_and_spoil_no_batch(
    store: CaptionStore, fake_encoder: Callable[..., Any], fake_generator: Callable[..., Any]
) -> None:
    long, short = "a very long caption " * 99, "a blue lake"
    store.upsert(
        [
            CaptionPoint(caption_id("", text, "human"), text, row, row)
            for text, row in ((long, EAST), (short, NORTH))
        ]
    )
    generator = fake_generator("red")
    generator.max_input_tokens = 20
    encoder = fake_encoder(TEXTS, {RED: EAST, BLUE: NORTH})
    options = DescribeOptions(k=1)
    made = Captioner(encoder, NO_GAP, Retriever([store], NO_GAP), generator, options)
    first, second = made.describe([picture(RED), picture(BLUE)])
    assert "a very long caption a very long." in first.prompt
    assert "a blue lake." in second.prompt
    assert max(map(generator.count_tokens, generator.prompts)) <= 20


def test_captions_of_any_script_reach_the_prompt_whole_and_each_once(
    store: CaptionStore, fake_encoder: Callable[..., Any], fake_generator: Callable[..., Any]
) -> None:
    told = ["एक लड़का", "एक लड़की", "நாய்", "แมวดำ", "一只猫。", "قطة", "🐶", "👨‍👩‍👧"]
    store.upsert([CaptionPoint(caption_id("", t, "human"), t, EAST, EAST) for t in told])
    generator = fake_generator("red")
    options = DescribeOptions(k=len(told), template="{captions}")
    encoder = fake_encoder(TEXTS, {RED: EAST})
    made = Captioner(encoder, NO_GAP, Retriever([store], NO_GAP), generator, options)
    (result,) = made.describe([picture(RED)])
    lines = [text if text.endswith("。") else f"{text}." for text in told]
    assert sorted(result.prompt.splitlines()) == sorted(lines)


def test_each_picture_gets_a_result_or_its_own_error() -> None:
    seen: list[slice] = []

    def describe(part: slice) -> list[Any]:
        seen.append(part)
        if part.start <= 2 < part.stop:
            raise CollectionMissing("nothing is said of the third")
        return [f"picture {at}" for at in range(part.start, part.stop)]

    answers: list[Any] = each_described(describe, 4)
    first, second, third, fourth = answers
    assert [first, second, fourth] == ["picture 0", "picture 1", "picture 3"]
    assert isinstance(third, CollectionMissing)
    assert len(seen) == 5
    assert [*map(str, each_described(describe, 2))] == ["picture 0", "picture 1"]
    assert each_described(describe, 0) == []


def test_without_a_generator_the_consensus_speaks(captioner: Callable[..., Captioner]) -> None:
    (result,) = captioner(None, k=2).describe([picture(BLUE)])
    assert result.caption == "a blue lake"
    assert not result.prompt


def test_a_generator_with_nothing_to_say_leaves_the_word_to_the_captions(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    (result,) = captioner(fake_generator(), k=2).describe([picture(RED)])
    assert result.caption == "a red door"


def test_no_pictures_give_no_descriptions(captioner: Callable[..., Captioner]) -> None:
    assert captioner(None).describe([]) == []


def test_an_index_without_captions_says_how_to_add_some(
    store: CaptionStore, fake_encoder: Callable[..., Any]
) -> None:
    encoder = fake_encoder(TEXTS, {RED: EAST})
    empty = Captioner(encoder, NO_GAP, Retriever([store], NO_GAP), None)
    with pytest.raises(CollectionMissing, match="mrag memory"):
        empty.describe([picture(RED)])


def test_writing_no_candidate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="candidates is 0"):
        DescribeOptions(candidates=0)


def test_agreement_with_what_was_retrieved_can_outweigh_likeness(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    """`leaning` is most like the picture, `blue` is most like the one caption found for it."""

    def caption(consensus: float) -> str:
        generator = fake_generator("leaning", "blue")
        made = captioner(generator, k=1, candidates=2, consensus=consensus)
        (result,) = made.describe_vectors(LEANING[None])
        assert [hit.text for hit in result.retrieved] == ["a blue lake"]
        return result.caption

    assert [caption(0.0), caption(1.0)] == ["leaning", "blue"]


def test_borrowed_captions_stand_for_choice(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    generator = fake_generator("odd")
    (result,) = captioner(generator, k=2, borrow=True).describe([picture(RED)])
    assert result.caption == "a red door"
    assert [c.text for c in result.candidates] == ["odd", "a red door", "a blue lake"]
    (result,) = captioner(fake_generator("odd"), k=2).describe([picture(RED)])
    assert result.caption == "odd"


@pytest.mark.parametrize("space", ["raw", "mapped", "fused"])
def test_every_space_describes(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any], space: str
) -> None:
    made = captioner(fake_generator("red"), k=2, space=space)
    (result,) = made.describe([picture(BLUE)])
    assert [hit.text for hit in result.retrieved] == ["a blue lake", "a red door"]
    assert result.space == space


@pytest.mark.parametrize("name", ["diversity", "consensus"])
@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_outside_0_to_1_are_refused(name: str, share: float) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is {share}; it must be 0 to 1"):
        DescribeOptions(**{name: share})  # type: ignore[arg-type]


def test_diverse_prompts_leave_out_near_copies(
    store: CaptionStore, fake_encoder: Callable[..., Any], fake_generator: Callable[..., Any]
) -> None:
    near = np.array([0.995, 0.1, 0, 0], np.float32)
    vectors = {"a red door": EAST, "one door, red": near, "a red lake": (EAST + NORTH) / 2**0.5}
    store.upsert([CaptionPoint(caption_id("", t, "human"), t, v, v) for t, v in vectors.items()])
    encoder = fake_encoder(TEXTS, {RED: EAST})

    def retrieved(diversity: float) -> list[str]:
        made = Captioner(
            encoder,
            NO_GAP,
            Retriever([store], NO_GAP),
            fake_generator("red"),
            DescribeOptions(k=2, diversity=diversity),
        )
        return [hit.text for hit in made.describe([picture(RED)])[0].retrieved]

    assert retrieved(0.0) == ["a red door", "one door, red"]
    assert retrieved(0.6) == ["a red door", "a red lake"]


def test_the_trace_tells_what_was_found_and_what_diversity_left_out(
    captioner: Callable[..., Captioner], fake_generator: Callable[..., Any]
) -> None:
    made = captioner(fake_generator("red"), k=1, diversity=0.5)
    (result,) = made.describe([picture(RED)])
    embed, retrieve, refine, answer = result.trace.steps
    assert set(embed.parts_ms) == {"encode", "map"}
    assert [move.item for move in retrieve.moves] == ["a red door", "a blue lake"]
    assert (refine.stage, refine.did) == ("refine: diversity", "dropped 1")
    assert [(move.item, move.after) for move in refine.moves] == [("a blue lake", None)]
    assert answer.did == "answered from 1"
    assert set(answer.parts_ms) == {"prompt", "generate", "encode candidates", "score"}


def test_captions_are_refined_before_the_prompt_is_made(
    store: CaptionStore, fake_encoder: Callable[..., Any], fake_generator: Callable[..., Any]
) -> None:
    told = ["two red doors", "red doors, two", "three red doors", "a boat, on a lake"]
    rows = [unit_row([1, at / 20, 0, 0]) for at in range(len(told))]
    store.upsert(
        [
            CaptionPoint(caption_id("", text, "human"), text, row, row)
            for text, row in zip(told, rows, strict=True)
        ]
    )
    encoder = fake_encoder(TEXTS, {RED: EAST})

    def described(*refine: Refinement, k: int = 3, prompt_tokens: int | None = None) -> Any:
        options = DescribeOptions(
            k=k, refine=refine, prompt_tokens=prompt_tokens, template="{captions}"
        )
        retriever = Retriever([store], NO_GAP)
        made = Captioner(encoder, NO_GAP, retriever, fake_generator("red"), options)
        (result,) = made.describe([picture(RED)])
        return result

    def left(*refine: Refinement, **options: Any) -> list[str]:
        return [hit.text for hit in described(*refine, **options).retrieved]

    assert left() == told[:3]
    assert left("near-copies") == [told[0], told[2], told[3]]
    assert left("contradictions") == told[:2]
    assert left("contradictions", "near-copies") == [told[0], told[3]]
    assert left("compression", k=4, prompt_tokens=13) == [*told[:3], "a boat"]
    result = described("near-copies", "contradictions")
    assert [step.stage for step in result.trace.steps[2:5]] == [
        "refine: near copies", "refine: the first 3", "refine: contradictions",
    ]  # fmt: skip
    assert result.timings_ms["refine"] > 0
    (note,) = result.trace.steps[4].notes
    assert note.startswith("count of 'door': 2 (")


def unit_row(values: list[float]) -> Vector:
    row = np.array(values, np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


def test_a_refiner_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="there are near-copies, contradictions, compression"):
        DescribeOptions(refine=("copies",))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="prompt_tokens is 0"):
        DescribeOptions(prompt_tokens=0)
