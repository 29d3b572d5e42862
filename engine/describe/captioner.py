"""Describes pictures: nearest captions -> prompt -> candidates -> the one nearest the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np
from PIL.Image import Image

from engine.alignment.alignment import GapMap
from engine.describe.prompts import Order, Prompt, build_prompt, split_template
from engine.describe.reranking import consensus, diverse, worth
from engine.describe.retriever import Retriever
from engine.errors import AlignmentError, CollectionMissing, InvalidInput, MragError
from engine.identity import PictureIdentity
from engine.timing import Stopwatch
from engine.types import (
    Candidate,
    CaptionHit,
    CaptionResult,
    Decoding,
    DescribeSpace,
    Encoder,
    Generator,
    MadeWith,
    Vector,
    Vectors,
)

_POOL = 4
"""Among how many times k captions those that differ are chosen."""


@dataclass(frozen=True)
class DescribeOptions:
    """How pictures are described.

    `space`: where captions are retrieved (`fused`: in both); `k` of them, at most `per_image`
    of one picture, with `diversity` above 0 chosen among more so that they differ (MMR).
    `candidates`: how many descriptions are written to choose from; with `borrow` the retrieved
    captions stand for choice too. `consensus`: 0 chooses by likeness to the picture, 1 by
    closeness to the retrieved captions. `prompt_tokens`: the longest prompt in the generator's
    tokens; None: as long as the generator reads. Raises InvalidInput for a template that has no
    place for captions and for values out of range.
    """

    space: DescribeSpace = "mapped"
    k: int = 4
    per_image: int = 2
    template: str = "paper"
    order: Order = "nearest-first"
    candidates: int = 4
    decoding: Decoding = field(default_factory=Decoding)
    prompt_tokens: int | None = None
    diversity: float = 0.0
    consensus: float = 0.0
    borrow: bool = False

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise InvalidInput(f"candidates is {self.candidates}; at least 1 must be written")
        for name in ("diversity", "consensus"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InvalidInput(f"{name} is {value}; it must be 0 to 1")
        split_template(self.template)


class Captioner:
    """Describes pictures from the captions that a retriever finds.

    Without a generator the description is the consensus of the retrieved captions.
    """

    def __init__(
        self,
        encoder: Encoder,
        alignment: GapMap,
        retriever: Retriever,
        generator: Generator | None,
        options: DescribeOptions | None = None,
        made_with: MadeWith | None = None,
    ) -> None:
        self._encoder = encoder
        self._alignment = alignment
        self._retriever = retriever
        self._generator = generator
        self.options = options or DescribeOptions()
        self.made_with = made_with or MadeWith()

    def describe(
        self, images: list[Image], *, exclude: Sequence[PictureIdentity] | None = None
    ) -> list[CaptionResult]:
        """Describe RGB pictures; `exclude` says which each is, not to borrow its own captions.

        The times of a batch are shared out evenly over its results.
        """
        watch = Stopwatch()
        with watch.stage("encode"):
            raw = self._encoder.encode_images(images)
        return self._describe(raw, exclude, watch)

    def describe_vectors(
        self, raw: Vectors, *, exclude: Sequence[PictureIdentity] | None = None
    ) -> list[CaptionResult]:
        """Describe pictures by their raw vectors, (n, dim) unit rows; see `describe`."""
        return self._describe(raw, exclude, Stopwatch())

    def _describe(
        self, raw: Vectors, exclude: Sequence[PictureIdentity] | None, watch: Stopwatch
    ) -> list[CaptionResult]:
        if not len(raw):
            return []
        options = self.options
        with watch.stage("map"):
            mapped = self._alignment.map_images(raw)
        with watch.stage("retrieve"):
            retrieved = self._retrieve(raw, mapped, exclude)
        if not all(retrieved):
            own = " of other pictures" if exclude else ""
            raise CollectionMissing(
                f"there are no captions{own} to describe from; "
                "ingest a file of captions into the collection, or make a memory (mrag memory "
                "coco) and ingest the pictures again with --memory coco"
                + ("; or let the picture's own be borrowed (--own)" if own else "")
            )
        prompts, texts = self._write(retrieved, watch)
        candidates = self._score(texts, mapped, retrieved, watch)
        shared = {stage: spent / len(raw) for stage, spent in watch.timings_ms.items()}
        return [
            CaptionResult(
                caption=chosen,
                candidates=scored,
                retrieved=tuple(hits),
                prompt=prompt,
                space=options.space,
                timings_ms=shared,
                made_with=self.made_with,
            )
            for (scored, chosen), hits, prompt in zip(candidates, retrieved, prompts, strict=True)
        ]

    def _retrieve(
        self, raw: Vectors, mapped: Vectors, exclude: Sequence[PictureIdentity] | None
    ) -> list[list[CaptionHit]]:
        options, find = self.options, self._retriever
        wanted = options.k * (_POOL if options.diversity else 1)
        if options.space == "fused":
            found = find.nearest_fused(raw, wanted, per_image=options.per_image, exclude=exclude)
        else:
            queries = mapped if options.space == "mapped" else raw
            found = find.nearest(
                queries, options.space, wanted, per_image=options.per_image, exclude=exclude
            )
        return [self._diverse(hits) for hits in found] if options.diversity else found

    def _diverse(self, hits: list[CaptionHit]) -> list[CaptionHit]:
        if not hits:
            return hits
        rows = self._alignment.map_texts(_vectors(hits))
        scores = np.array([hit.score for hit in hits])
        return [hits[i] for i in diverse(scores, rows, self.options.k, self.options.diversity)]

    def _write(
        self, retrieved: list[list[CaptionHit]], watch: Stopwatch
    ) -> tuple[list[str], list[list[str]]]:
        """The prompt and the candidate texts of each picture."""
        count = self.options.candidates
        if self._generator is None:
            with watch.stage("generate"):
                return [""] * len(retrieved), [_agreed(hits, count) for hits in retrieved]
        with watch.stage("prompt"):
            prompts = [self._prompt(hits, self._generator).text for hits in retrieved]
        with watch.stage("generate"):
            texts = self._generator.generate(prompts, count, self.options.decoding)
            # A model may have nothing to say; the captions then speak for themselves.
            texts = [
                written or _agreed(hits, 1) for written, hits in zip(texts, retrieved, strict=True)
            ]
        if self.options.borrow:
            texts = [
                list(dict.fromkeys([*written, *(hit.text for hit in hits)]))
                for written, hits in zip(texts, retrieved, strict=True)
            ]
        return prompts, texts

    def _prompt(self, hits: list[CaptionHit], generator: Generator) -> Prompt:
        longest = generator.max_input_tokens
        return build_prompt(
            [hit.text for hit in hits],
            template=self.options.template,
            order=self.options.order,
            budget=min(self.options.prompt_tokens or longest, longest),
            count_tokens=generator.count_tokens,
        )

    def _score(
        self,
        texts: list[list[str]],
        mapped: Vectors,
        retrieved: list[list[CaptionHit]],
        watch: Stopwatch,
    ) -> list[tuple[tuple[Candidate, ...], str]]:
        """Each picture's candidates with their cosines to it, mapped, and the one chosen."""
        with watch.stage("encode candidates"):
            vectors = self._encoder.encode_texts([text for written in texts for text in written])
        with watch.stage("score"):
            vectors = self._alignment.map_texts(vectors)
            ends = accumulate((len(written) for written in texts), initial=0)
            spans = pairwise(ends)
            return [
                self._chosen(written, vectors[start:end], image, hits)
                for written, image, hits, (start, end) in zip(
                    texts, mapped, retrieved, spans, strict=True
                )
            ]

    def _chosen(
        self, texts: list[str], rows: Vectors, image: Vector, hits: list[CaptionHit]
    ) -> tuple[tuple[Candidate, ...], str]:
        scores = rows @ image
        candidates = tuple(
            Candidate(text, float(score)) for text, score in zip(texts, scores, strict=True)
        )
        if self._generator is None:
            return candidates, texts[0]  # the consensus, best first
        value = scores
        if self.options.consensus:
            evidence = self._alignment.map_texts(_vectors(hits))
            weights = np.array([hit.score for hit in hits])
            value = worth(scores, rows, evidence, weights, self.options.consensus)
        return candidates, texts[int(np.argmax(value))]


def each_described(
    describe: Callable[[slice], Sequence[CaptionResult]], count: int
) -> list[CaptionResult | MragError]:
    """A result for each of `count` pictures that can be described, the error for each other one.

    `describe` describes a slice of them. Where it raises for all together each is described
    alone, so that only the one to blame fails.
    """
    if not count:
        return []
    try:
        return list(describe(slice(0, count)))
    except (AlignmentError, CollectionMissing, InvalidInput) as error:
        if count == 1:
            return [error]
    answers: list[CaptionResult | MragError] = []
    for at in range(count):
        try:
            answers += describe(slice(at, at + 1))
        except (AlignmentError, CollectionMissing, InvalidInput) as error:
            answers.append(error)
    return answers


def _vectors(hits: list[CaptionHit]) -> Vectors:
    """The raw vectors of hits, which a retriever gives with each."""
    return np.stack([hit.vector for hit in hits if hit.vector is not None])


def _agreed(hits: list[CaptionHit], count: int) -> list[str]:
    scores = np.array([hit.score for hit in hits])
    return [hits[index].text for index in consensus(_vectors(hits), scores, count)]
