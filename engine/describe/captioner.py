"""Describes pictures: nearest captions -> prompt -> candidates -> the one nearest the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

import numpy as np
from PIL.Image import Image

from engine.alignment.alignment import GapMap
from engine.describe.prompts import Order, Prompt, build_prompt, prompt_tokens, split_template
from engine.describe.reranking import consensus, worth
from engine.describe.retriever import Retriever
from engine.describe.stages import Diverse, First, Nearest, Seen, Timed, vectors_of
from engine.errors import AlignmentError, CollectionMissing, InvalidInput, MragError
from engine.evidence.refiners import (
    USUAL,
    Refinement,
    check_refinements,
    choosing,
    settling,
    shortening,
)
from engine.identity import PictureIdentity
from engine.rerank.budget import Budget
from engine.rerank.judging import Judging, Reranking
from engine.stages.pipeline import Pipeline
from engine.stages.protocols import Found, Refiner, Reranker
from engine.stages.trace import Step
from engine.timing import Stopwatch, shared_out
from engine.types import (
    Candidate,
    CaptionHit,
    CaptionResult,
    Decoding,
    DescribeSpace,
    Encoder,
    Generator,
    MadeWith,
    RerankMethod,
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
    tokens; None: as long as the generator reads. `refine`: what is done to captions before
    (`engine.evidence`). `rerank`: how the first `rerank_top` captions are put in another order
    before k of them are taken, within `rerank_seconds` for each picture. Raises InvalidInput for a
    template that has no place for captions and for values out of range.
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
    refine: tuple[Refinement, ...] = USUAL
    rerank: RerankMethod = "off"
    rerank_top: int = 20
    rerank_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise InvalidInput(f"candidates is {self.candidates}; at least 1 must be written")
        for name in ("diversity", "consensus"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InvalidInput(f"{name} is {value}; it must be 0 to 1")
        check_refinements(self.refine)
        if self.prompt_tokens is not None and self.prompt_tokens < 1:
            raise InvalidInput(f"prompt_tokens is {self.prompt_tokens}; it must be 1 or more")
        if self.diversity and self.rerank != "off":
            raise InvalidInput(
                "captions that are to differ have an order of their own: leave either diversity or "
                "reranking out"
            )
        split_template(self.template)

    @property
    def budget(self) -> Budget:
        """How many captions are reranked, and in which time."""
        return Budget(self.rerank_top, self.rerank_seconds)


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
        judging: Judging[Seen, CaptionHit] | None = None,
    ) -> None:
        """`judging` reranks captions, where the options ask for it."""
        self._encoder = encoder
        self._alignment = alignment
        self._retriever = retriever
        self._generator = generator
        self._judging = judging
        self.options = options or DescribeOptions()
        self.made_with = made_with or MadeWith()

    @property
    def looks(self) -> bool:
        """Whether pictures are looked at beside their vectors, see `describe_vectors`."""
        return self.options.rerank == "picture"

    def describe(
        self, images: list[Image], *, exclude: Sequence[PictureIdentity] | None = None
    ) -> list[CaptionResult]:
        """Describe RGB pictures; `exclude` says which each is, not to borrow its own captions.

        The times of a batch are shared out evenly over its results.
        """
        watch = Stopwatch()
        with watch.stage("encode"):
            raw = self._encoder.encode_images(images)
        return self._describe(raw, images, exclude, watch)

    def describe_vectors(
        self,
        raw: Vectors,
        *,
        exclude: Sequence[PictureIdentity] | None = None,
        images: Sequence[Image | None] | None = None,
    ) -> list[CaptionResult]:
        """Describe pictures by their raw vectors, (n, dim) unit rows; see `describe`.

        `images` are looked at where captions are reranked by picture.
        """
        return self._describe(raw, images or [None] * len(raw), exclude, Stopwatch())

    def _describe(
        self,
        raw: Vectors,
        images: Sequence[Image | None],
        exclude: Sequence[PictureIdentity] | None,
        watch: Stopwatch,
    ) -> list[CaptionResult]:
        if not len(raw):
            return []
        with watch.stage("map"):
            mapped = self._alignment.map_images(raw)
        first = _first_step(shared_out(watch.timings_ms, len(raw)))
        own: Sequence[PictureIdentity | None] = exclude or [None] * len(raw)
        asked = [Seen(*one) for one in zip(raw, mapped, own, images, strict=True)]
        answers = self._pipeline(watch).run(asked, watch)
        shared = shared_out(watch.timings_ms, len(raw))
        return [
            replace(
                result,
                timings_ms=shared,
                trace=trace.after(first),
                reranked=trace.notes(self._judging.name) if self._judging else (),
            )
            for result, trace in answers
        ]

    def _pipeline(self, watch: Stopwatch) -> Pipeline[Seen, CaptionHit, CaptionResult]:
        options, count = self.options, self.options.k
        refiners = self._choosing()
        rerankers: list[Reranker[Seen, CaptionHit]] = []
        if refiners:
            count *= _POOL
        if self._judging is not None:
            count = max(count, options.rerank_top)
            rerankers.append(Reranking(self._judging, options.budget, watch))
            refiners = refiners or [First(options.k)]
        refiners += [*settling(options.refine), *self._shortening()]
        return Pipeline(
            Nearest(self._retriever, options.space, count, options.per_image, watch),
            Writer(self._encoder, self._alignment, self._generator, options, self.made_with, watch),
            rerankers=rerankers,
            refiners=[Timed(one, watch) for one in refiners],
            key=lambda hit: hit.id,
            name=lambda hit: hit.text,
        )

    def _choosing(self) -> list[Refiner[Seen, CaptionHit]]:
        """What takes k captions out of more; nothing where the nearest are taken as they come."""
        options = self.options
        refiners: list[Refiner[Seen, CaptionHit]] = [*choosing(options.refine)]
        if options.diversity:
            return [*refiners, Diverse(self._alignment, options.k, options.diversity)]
        return [*refiners, First(options.k)] if refiners else []

    def _shortening(self) -> list[Refiner[Seen, CaptionHit]]:
        """What brings captions within the budget of the prompt; nothing where none is written."""
        generator, options = self._generator, self.options
        if generator is None:
            return []

        def tokens_of(texts: Sequence[str]) -> int:
            return prompt_tokens(texts, options.template, generator.count_tokens)

        budget = prompt_budget(options.prompt_tokens, generator)
        return [*shortening(options.refine, budget, tokens_of)]


class Writer:
    """Writes what is left of the captions into a prompt, and takes the best of what comes of it."""

    name = "answer"

    def __init__(
        self,
        encoder: Encoder,
        alignment: GapMap,
        generator: Generator | None,
        options: DescribeOptions,
        made_with: MadeWith,
        watch: Stopwatch,
    ) -> None:
        self._encoder = encoder
        self._alignment = alignment
        self._generator = generator
        self.options = options
        self.made_with = made_with
        self._watch = watch

    def answer(
        self, asked: Sequence[Seen], found: Sequence[Found[CaptionHit]]
    ) -> list[CaptionResult]:
        """Describe each picture; the times of all together are told by the watch."""
        watch, retrieved = self._watch, [list(one.items) for one in found]
        prompts, texts = self._write(retrieved, watch)
        mapped = np.stack([one.mapped for one in asked])
        candidates = self._score(texts, mapped, retrieved, watch)
        return [
            CaptionResult(
                caption=chosen,
                candidates=scored,
                retrieved=tuple(hits),
                prompt=prompt,
                space=self.options.space,
                timings_ms={},
                made_with=self.made_with,
            )
            for (scored, chosen), hits, prompt in zip(candidates, retrieved, prompts, strict=True)
        ]

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
        return build_prompt(
            [hit.text for hit in hits],
            template=self.options.template,
            order=self.options.order,
            budget=prompt_budget(self.options.prompt_tokens, generator),
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
            evidence = self._alignment.map_texts(vectors_of(hits))
            weights = np.array([hit.score for hit in hits])
            value = worth(scores, rows, evidence, weights, self.options.consensus)
        return candidates, texts[int(np.argmax(value))]


def _first_step(times: Mapping[str, float]) -> Step:
    """What was done before the stages: with a picture, or with a vector that was there."""
    stage = ("embed", "embedded the picture") if "encode" in times else ("map", "mapped its vector")
    return Step(*stage, sum(times.values()), 0, 0, parts_ms=times)


def prompt_budget(asked: int | None, generator: Generator) -> int:
    """The longest prompt in tokens: as long as was asked for, and no longer than can be read."""
    return min(asked or generator.max_input_tokens, generator.max_input_tokens)


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


def _agreed(hits: list[CaptionHit], count: int) -> list[str]:
    scores = np.array([hit.score for hit in hits])
    return [hits[index].text for index in consensus(vectors_of(hits), scores, count)]
