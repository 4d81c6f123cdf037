"""Writes the demo model: a tiny llama that babbles, so that a first chat needs no download.

Nothing in it was learned. Its weights are random numbers, but for the parts of the first and the
last layer that say which word may follow which (see `deploy.babble`).
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from deploy.babble import (
    BOS_ID,
    CHAT_TEMPLATE,
    END,
    EOS_ID,
    FOLLOWERS,
    WEIGHTS,
    Token,
    vocabulary,
)

NAME = "babble"
DESCRIPTION = (
    "A demonstration model of random numbers: it babbles sentences without meaning, whatever it is "
    "asked. Put real models (.gguf files) into the models directory."
)

Weights = NDArray[np.float32]

_TOKEN_TYPES = {
    "word": gguf.TokenType.NORMAL,
    "unknown": gguf.TokenType.UNKNOWN,
    "control": gguf.TokenType.CONTROL,
    "byte": gguf.TokenType.BYTE,
}
_FORBIDDEN = -2.0
"""What the output layer gives to a word that may not follow; normalised activations make it -15."""
_EMBEDDING_NOISE = 0.05
_OUTPUT_NOISE = 0.1
_RESIDUAL_NOISE = 0.02


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The sizes of a llama model. `embedding_length` has to exceed the slots of the grammar."""

    context_length: int = 4096
    embedding_length: int = 64
    block_count: int = 2
    head_count: int = 4
    head_count_kv: int = 2
    feed_forward_length: int = 128


def write_demo_model(path: Path) -> None:
    """Writes the demo model to `path`, below 1 MB and every time the same bytes.

    It appears there complete or not at all. Raises `OSError` where it cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        writer = gguf.GGUFWriter(new, "llama")
        writer.add_name(NAME)
        writer.add_description(DESCRIPTION)
        writer.add_license("mit")
        add_llama(writer, LlamaShape(), vocabulary())
        write_all(writer)
        new.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()


def add_llama(
    writer: gguf.GGUFWriter,
    shape: LlamaShape,
    tokens: Sequence[Token],
    *,
    ends: bool = True,
    seed: int = 0,
) -> None:
    """Adds all keys and tensors of a babbling llama to `writer`.

    `tokens` may be longer than the grammar's. Unless it `ends`, it babbles until it is stopped.
    """
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.embedding_length)
    writer.add_block_count(shape.block_count)
    writer.add_feed_forward_length(shape.feed_forward_length)
    writer.add_head_count(shape.head_count)
    writer.add_head_count_kv(shape.head_count_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.embedding_length // shape.head_count)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.text for token in tokens])
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types([_TOKEN_TYPES[token.kind] for token in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(BOS_ID)
    writer.add_eos_token_id(EOS_ID)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, tensor in _tensors(shape, tokens, ends, np.random.default_rng(seed)):
        # Norms stay in 32 bits, as in published models: llama.cpp multiplies by them in 32 bits.
        writer.add_tensor(name, tensor if tensor.ndim == 1 else tensor.astype(np.float16))


def write_all(writer: gguf.GGUFWriter) -> None:
    """Writes the file, or all files of a split one, and closes them."""
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def random_matrix(rng: np.random.Generator, rows: int, columns: int) -> Weights:
    """A matrix that keeps the size of what it multiplies."""
    return rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(math.sqrt(columns))


def _tensors(
    shape: LlamaShape, tokens: Sequence[Token], ends: bool, rng: np.random.Generator
) -> Iterator[tuple[str, Weights]]:
    width = shape.embedding_length
    kv_width = width // shape.head_count * shape.head_count_kv
    ones = np.ones(width, np.float32)
    yield "token_embd.weight", _embedding(tokens, width, rng)
    yield "output_norm.weight", ones
    yield "output.weight", _output(tokens, width, ends, rng)
    for block in range(shape.block_count):
        prefix = f"blk.{block}"
        yield f"{prefix}.attn_norm.weight", ones
        yield f"{prefix}.attn_q.weight", random_matrix(rng, width, width)
        yield f"{prefix}.attn_k.weight", random_matrix(rng, kv_width, width)
        yield f"{prefix}.attn_v.weight", random_matrix(rng, kv_width, width)
        # What the blocks add to the stream stays small, or it would drown the grammar in noise.
        attention = random_matrix(rng, width, width)
        yield f"{prefix}.attn_output.weight", attention * np.float32(_RESIDUAL_NOISE)
        yield f"{prefix}.ffn_norm.weight", ones
        yield f"{prefix}.ffn_gate.weight", random_matrix(rng, shape.feed_forward_length, width)
        yield f"{prefix}.ffn_up.weight", random_matrix(rng, shape.feed_forward_length, width)
        feed_forward = random_matrix(rng, width, shape.feed_forward_length)
        yield f"{prefix}.ffn_down.weight", feed_forward * np.float32(_RESIDUAL_NOISE)


def _embedding(tokens: Sequence[Token], width: int, rng: np.random.Generator) -> Weights:
    """Each token as a one in the column of its slot, and a little noise that is its own."""
    columns = {slot: column for column, slot in enumerate(FOLLOWERS)}
    rows = rng.standard_normal((len(tokens), width), dtype=np.float32) * _EMBEDDING_NOISE
    rows[:, : len(columns)] = 0
    for row, token in zip(rows, tokens, strict=True):
        if token.slot in columns:
            row[columns[token.slot]] = 1
    return rows


def _output(tokens: Sequence[Token], width: int, ends: bool, rng: np.random.Generator) -> Weights:
    """For each token, the slots that it may follow, and a little taste for single words."""
    rows = rng.standard_normal((len(tokens), width), dtype=np.float32) * _OUTPUT_NOISE
    rows[:, : len(FOLLOWERS)] = _FORBIDDEN
    # An embedding of about length one is normalised to a length of the square root of its width.
    gain = math.sqrt(width)
    for row, token in zip(rows, tokens, strict=True):
        for column, followers in enumerate(FOLLOWERS.values()):
            if token.slot in followers and (ends or token.slot != END):
                row[column] = math.log(WEIGHTS.get(token.slot, 1.0)) / gain
    return rows
