"""Text from prompts: transformers seq2seq models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image

from engine.errors import InvalidInput
from engine.models.choosing import Tokens, beginnings, told_apart
from engine.models.device import Precision, choose_device, choose_threads, use_threads
from engine.models.nucleus import NucleusDraw, random_numbers
from engine.models.plain_text import PlainText
from engine.models.seq2seq import load_seq2seq
from engine.models.streaming import Pieces, Tell, TokenStreamer, read_while_written
from engine.progress import check_cancelled
from engine.types import Decoding, Vectors

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

TEXTS_TOGETHER = 32
"""Texts written in one batch: on a CPU a step of 32 takes twice as long as one of 8."""

DEFAULT_INPUT_TOKENS = 512
"""Input length of a model that does not state its own; T5 was trained on it."""


class Seq2SeqGenerator:
    """Writes text with a transformers encoder-decoder model.

    It is a `Generator`, a `Chooser` and a `TextStream`, of `engine.types`.

    Threads may share one. What is written for a prompt does not depend on the prompts it is
    batched with (up to rounding in bfloat16). `max_input_tokens` is the longest prompt, as
    `count_tokens` counts. What looks like a control token in a prompt is read as text.
    """

    max_images = 0

    def __init__(
        self, source: str, model: Any, tokenizer: Any, *, batch_size: int, threads: int
    ) -> None:
        """Take finished parts; `source` is the hub name or the folder they came from."""
        self._source = source
        self._model = model
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._threads = threads
        self._plain = PlainText(tokenizer)
        self._tokenizer_lock = Lock()  # fast tokenizers refuse concurrent use
        self._model_lock = Lock()
        self.max_input_tokens = _input_length(model.config, tokenizer)
        # A model's own sampling settings stay out: the Decoding decides.
        self._token_ids = token_ids(model.generation_config)
        model.generation_config = type(model.generation_config)(**self._token_ids)

    @cached_property
    def id(self) -> str:
        """See `generator_id`."""
        return generator_id(self._source)

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""
        return len(self._tokenize([text], end=False)[0])

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        """Write up to `n` different candidates for each prompt, the likeliest first.

        Candidates are ranked by log-probability per token and differ in more than case, spaces
        and the final stop; empty ones are dropped, so a list may be shorter than `n`, or empty.
        greedy with n > 1: the greedy text first, then those of max(beams, n) beams. nucleus: `n`
        draws, which depend on seed, prompt and model only. Raises InvalidInput for a prompt
        longer than `max_input_tokens` and for settings out of range.
        """
        _check(n, decoding)
        tokens = self._tokenize(prompts, end=True)
        self._check_lengths(tokens)
        written: list[list[str]] = [[] for _ in prompts]
        for batch in _batches(tokens, prompts_together(n, self._batch_size)):
            sequences = self._write([tokens[i] for i in batch], n, decoding)
            for i, texts in zip(batch, self._decode(sequences, len(batch)), strict=True):
                written[i] = _different(texts)[:n]
        return written

    def likelihoods(self, prompts: list[str], choices: Sequence[str]) -> Vectors:
        """Log-probabilities of the choices after each prompt; see `types.Chooser`.

        One pass of the encoder and, where first tokens tell the choices apart, one step of the
        decoder. Raises InvalidInput for a prompt longer than `max_input_tokens` and for choices
        that the model cannot tell apart.
        """
        tokens = self._tokenize(prompts, end=True)
        self._check_lengths(tokens)
        ends = int(self._token_ids["eos_token_id"])
        paths = told_apart(choices, self._tokenize(list(choices), end=False), ends)
        rows = np.empty((len(prompts), len(choices)), np.float32)
        for batch in _batches(tokens, self._batch_size):
            rows[batch] = self._choose([tokens[i] for i in batch], paths)
        return rows

    def stream(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Iterator[str]:
        """The greedy text of one prompt, as it comes; see `types.TextStream`. It sees nothing."""
        return read_while_written(partial(self.write, prompt, images, max_new_tokens))

    def write(self, prompt: str, images: Sequence[Image], max_new_tokens: int, tell: Tell) -> None:
        """Write that text in this thread, and tell its pieces; heeds a cancellation.

        Raises InvalidInput for a prompt longer than `max_input_tokens`, and for pictures.
        """
        import torch

        if images:
            raise InvalidInput(
                f"{len(images)} pictures are given, and {self._source} reads text alone; name a "
                "model that sees with MRAG_ANSWERER"
            )
        _check(1, Decoding(max_new_tokens=max_new_tokens))
        tokens = self._tokenize([prompt], end=True)
        self._check_lengths(tokens)
        with self._model_lock, torch.inference_mode():
            check_cancelled()
            use_threads(self._threads)
            hidden, mask = self._encode(tokens)
            streamer = TokenStreamer(Pieces(self._decode_one, tell))
            self._continue(hidden, mask, max_new_tokens, streamer=streamer)

    def _choose(self, tokens: list[list[int]], paths: Sequence[Tokens]) -> Vectors:
        """Log-probabilities for one batch, (prompts, paths)."""
        import torch

        start = [self._token_ids["decoder_start_token_id"]]
        if "forced_bos_token_id" in self._token_ids:
            start.append(self._token_ids["forced_bos_token_id"])
        with self._model_lock, torch.inference_mode():
            use_threads(self._threads)
            hidden, mask = self._encode(tokens)
            total = torch.zeros(len(tokens), len(paths), device=hidden.device)
            for begun in beginnings(paths):
                step = self._next_token(hidden, mask, [*start, *begun])
                for i, path in enumerate(paths):
                    if len(path) > len(begun) and path[: len(begun)] == begun:
                        total[:, i] += step[:, path[len(begun)]]
            found: Vectors = total.log_softmax(dim=1).cpu().numpy()
        return found

    def _next_token(self, hidden: Tensor, mask: Tensor, begun: list[int]) -> Tensor:
        """Log-probabilities of what follows `begun` for each encoded prompt, (prompts, tokens)."""
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        given = torch.tensor([begun], device=hidden.device).expand(len(hidden), -1)
        logits = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=mask,
            decoder_input_ids=given,
            use_cache=False,
        ).logits
        step: Tensor = logits[:, -1].float().log_softmax(dim=-1)
        return step

    def _tokenize(self, texts: list[str], *, end: bool) -> list[list[int]]:
        if not texts:
            return []
        with self._tokenizer_lock:
            plain = [self._plain.of(text) for text in texts]
            encoded = self._tokenizer(plain, add_special_tokens=end, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _check_lengths(self, tokens: list[list[int]]) -> None:
        added = self._tokenizer.num_special_tokens_to_add(pair=False)
        for i, ids in enumerate(tokens):
            if len(ids) - added > self.max_input_tokens:
                raise InvalidInput(
                    f"prompt {i} has {len(ids) - added} tokens; {self._source} reads at most "
                    f"{self.max_input_tokens}: build it with that budget"
                )

    def _write(self, tokens: list[list[int]], n: int, decoding: Decoding) -> list[Tensor]:
        """Generate for one batch: tensors of (prompts * candidates, length) token ids."""
        import torch

        with self._model_lock, torch.inference_mode():
            use_threads(self._threads)
            hidden, mask = self._encode(tokens)
            if decoding.method == "nucleus":
                return [self._draw(tokens, hidden, mask, n, decoding)]
            found = []
            if decoding.method == "greedy":
                found.append(self._continue(hidden, mask, decoding.max_new_tokens))
            if decoding.method == "beam" or n > 1:
                beams = max(decoding.beams, n)
                found.append(self._continue(hidden, mask, decoding.max_new_tokens, beams=beams))
            return found

    def _encode(self, tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
        """What the encoder makes of prompts, (prompts, longest, width), and their mask."""
        ids, mask = self._pad(tokens)
        encoder = self._model.get_encoder()
        return encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask

    def _pad(self, tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and their mask, both (prompts, longest), on the model's device."""
        import torch

        rows = [torch.tensor(row) for row in tokens]
        ones = [torch.ones_like(row) for row in rows]
        pad = self._token_ids.get("pad_token_id", 0)
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
        mask = torch.nn.utils.rnn.pad_sequence(ones, batch_first=True)
        return ids.to(self._model.device), mask.to(self._model.device)

    def _continue(
        self,
        hidden: Tensor,
        mask: Tensor,
        max_new_tokens: int,
        *,
        beams: int = 1,
        draw: NucleusDraw | None = None,
        streamer: TokenStreamer | None = None,
    ) -> Tensor:
        """Decode all beams of each encoded prompt, best first."""
        from transformers import GenerationConfig
        from transformers.modeling_outputs import BaseModelOutput

        config = GenerationConfig(
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=max_new_tokens,
            **self._token_ids,
        )
        sequences: Tensor = self._model.generate(
            # transformers expands this object in place: it must not be shared between calls
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=mask,
            generation_config=config,
            logits_processor=[draw] if draw else None,
            streamer=streamer,
        )
        return sequences

    def _draw(
        self, tokens: list[list[int]], hidden: Tensor, mask: Tensor, n: int, decoding: Decoding
    ) -> Tensor:
        """Sample n continuations of each encoded prompt, likeliest first."""
        import torch

        numbers = np.concatenate([random_numbers(row, n, decoding) for row in tokens])
        draw = NucleusDraw(decoding, numbers, self._token_ids["eos_token_id"], hidden.device)
        sequences = self._continue(
            hidden.repeat_interleave(n, dim=0),
            mask.repeat_interleave(n, dim=0),
            decoding.max_new_tokens,
            draw=draw,
        )
        ranks = draw.log_probability().view(len(tokens), n).argsort(descending=True, stable=True)
        first = torch.arange(0, len(sequences), n, device=ranks.device)[:, None]
        return sequences[(first + ranks).flatten()]

    def _decode_one(self, tokens: list[int]) -> str:
        with self._tokenizer_lock:
            return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _decode(self, sequences: list[Tensor], prompts: int) -> list[list[str]]:
        """The texts of each prompt, in the order of the tensors."""
        texts: list[list[str]] = [[] for _ in range(prompts)]
        for rows in sequences:
            with self._tokenizer_lock:
                found = self._tokenizer.batch_decode(rows, skip_special_tokens=True)
            share = len(found) // prompts
            for i, own in enumerate(texts):
                own.extend(found[i * share : (i + 1) * share])
        return texts


def _batches(tokens: Sequence[Sequence[int]], together: int) -> Iterator[list[int]]:
    """Indices of texts; those of like length together, so that little of a batch is padding."""
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]), reverse=True)
    for start in range(0, len(order), together):
        yield order[start : start + together]


def prompts_together(n: int, texts: int = TEXTS_TOGETHER) -> int:
    """How many prompts share a batch of so many texts, with `n` candidates for each."""
    return max(1, texts // n)


def load_generator(
    spec: str,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    batch_size: int = TEXTS_TOGETHER,
    threads: int = 0,
) -> Seq2SeqGenerator:
    """Load an encoder-decoder model by its hub name, or from a folder with safetensors weights.

    What the hub's cache already has is loaded without asking the network. `precision` auto:
    bfloat16 on CUDA, and on a CPU that has units for it if the model is wide enough to gain;
    float32 elsewhere. `batch_size` counts texts, of which each prompt has as many as candidates
    are asked for. `threads` 0: see `choose_threads`. Raises ModelMissing with the way to get
    it, and InvalidInput for a device, a precision or a kind of model that cannot be used.
    """
    if batch_size < 1:
        raise InvalidInput(f"batch_size is {batch_size}; it must be 1 or more")
    source, model, tokenizer = load_seq2seq(spec, choose_device(device), precision)
    return Seq2SeqGenerator(
        source,
        model,
        tokenizer,
        batch_size=batch_size,
        threads=choose_threads(model, threads),
    )


def _input_length(config: Any, tokenizer: Any) -> int:
    """The longest prompt in tokens, without those that the tokenizer adds."""
    stated = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    # A tokenizer that knows no limit states 10 ** 30.
    limits = [limit for limit in stated if limit and limit < 10**9] or [DEFAULT_INPUT_TOKENS]
    added = int(tokenizer.num_special_tokens_to_add(pair=False))
    return int(min(limits)) - added


def token_ids(config: Any) -> dict[str, Any]:
    """The special tokens that a model's generation settings name."""
    names = [
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
        "decoder_start_token_id",
        "forced_bos_token_id",
        "forced_eos_token_id",
    ]
    found = {name: getattr(config, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _check(n: int, decoding: Decoding) -> None:
    ranges = {
        "method": (decoding.method in {"greedy", "beam", "nucleus"}, "greedy, beam or nucleus"),
        "beams": (decoding.beams >= 1, "1 or more"),
        "top_p": (0 < decoding.top_p <= 1, "above 0, up to 1"),
        "temperature": (0 < decoding.temperature < float("inf"), "above 0"),
        "max_new_tokens": (decoding.max_new_tokens >= 1, "1 or more"),
    }
    for name, (usable, allowed) in ranges.items():
        if not usable:
            raise InvalidInput(f"{name} is {getattr(decoding, name)!r}; it must be {allowed}")
    if n < 1:
        raise InvalidInput(f"{n} candidates were asked for; it must be 1 or more")


def _different(texts: Sequence[str]) -> list[str]:
    """The stripped texts that are not empty and not a repetition of an earlier one."""
    kept: dict[str, str] = {}
    for text in texts:
        key = " ".join(text.casefold().split()).rstrip(" .")
        if key:
            kept.setdefault(key, text.strip())
    return list(kept.values())


def generator_id(spec: str) -> str:
    """The hub name, or `local-dir@<12 hex of sha256 over config and weights>`; loads nothing."""
    folder = Path(spec)
    return f"local-dir@{_digest(folder)}" if folder.is_dir() else spec


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:12]
