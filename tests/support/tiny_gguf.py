"""Small model files for tests, which real engines load, and files that no engine loads."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np

from deploy.babble import PROMPT, SPACE, Token, vocabulary
from deploy.demo_model import LlamaShape, Weights, add_llama, random_matrix, write_all

Customize = Callable[[gguf.GGUFWriter], None]


def _nothing(_: gguf.GGUFWriter) -> None:
    """Adds nothing."""


def write_llama(
    path: Path,
    *,
    name: str = "tiny",
    shape: LlamaShape | None = None,
    padding_tokens: int = 0,
    ends: bool = True,
    customize: Customize = _nothing,
) -> Path:
    """A llama of 0.3 MB that babbles; with `ends=False` until it is stopped.

    `padding_tokens` makes the vocabulary longer by so many tokens, which never come up.
    """
    tokens = vocabulary() + [Token(f"padding{i}", "word", PROMPT) for i in range(padding_tokens)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    add_llama(writer, shape or LlamaShape(), tokens, ends=ends)
    customize(writer)
    write_all(writer)
    return path


def write_llama_of_size(path: Path, size_bytes: int) -> Path:
    """A llama of about `size_bytes`, for what takes long to read or a lot of memory."""
    shape = LlamaShape()
    bytes_per_unit = 2 * 3 * shape.embedding_length * shape.block_count
    return write_llama(path, shape=LlamaShape(feed_forward_length=size_bytes // bytes_per_unit))


def write_shards(directory: Path, name: str, tensors_per_shard: int = 7) -> list[Path]:
    """A llama of 21 tensors in shards as llama.cpp names them: three, unless told otherwise."""
    writer = gguf.GGUFWriter(
        directory / f"{name}.gguf", "llama", split_max_tensors=tensors_per_shard
    )
    writer.add_name(name)
    add_llama(writer, LlamaShape(), vocabulary())
    write_all(writer)
    return sorted(directory.glob(f"{name}-*-of-*.gguf"))


def write_bert(
    path: Path, *, reranker: bool = False, width: int = 64, context_length: int = 512
) -> Path:
    """An embedder, or a reranker, of two blocks."""
    rng = np.random.default_rng(0)
    tokens = list(_bert_tokens())
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny-bert")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(context_length)
    writer.add_embedding_length(width)
    writer.add_block_count(2)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK if reranker else gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token.text for token in tokens])
    writer.add_token_types(
        [
            gguf.TokenType.NORMAL if token.kind == "word" else gguf.TokenType.CONTROL
            for token in tokens
        ]
    )
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    for name, tensor in _bert_tensors(rng, len(tokens), width, context_length, reranker=reranker):
        writer.add_tensor(name, tensor)
    write_all(writer)
    return path


def write_truncated(path: Path) -> Path:
    """A llama whose second half is missing, unchanged for an hour."""
    write_llama(path)
    os.truncate(path, path.stat().st_size // 2)
    return age(path)


def write_garbage(path: Path) -> Path:
    """A file that is anything but GGUF."""
    path.write_bytes(b"<!doctype html><title>404 Not Found</title>" * 100)
    return path


def age(path: Path, seconds: float = 3600) -> Path:
    """Makes the file look as if it had not changed for so long."""
    then_ns = path.stat().st_mtime_ns - round(seconds * 1e9)
    os.utime(path, ns=(then_ns, then_ns))
    return path


def _bert_tokens() -> Iterator[Token]:
    for special in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        yield Token(special, "control", PROMPT)
    characters = string.ascii_lowercase + string.digits
    for text in (*(SPACE + character for character in characters + ".,!?"), *characters):
        yield Token(text, "word", PROMPT)
    for word in {token.text.lower(): None for token in vocabulary() if len(token.text) > 2}:
        if word.startswith(SPACE):
            yield Token(word, "word", PROMPT)


def _bert_tensors(
    rng: np.random.Generator, token_count: int, width: int, context_length: int, *, reranker: bool
) -> Iterator[tuple[str, Weights]]:
    def norm(prefix: str) -> Iterator[tuple[str, Weights]]:
        yield f"{prefix}.weight", np.ones(width, np.float32)
        yield f"{prefix}.bias", np.zeros(width, np.float32)

    def linear(prefix: str, rows: int, columns: int) -> Iterator[tuple[str, Weights]]:
        yield f"{prefix}.weight", random_matrix(rng, rows, columns)
        yield f"{prefix}.bias", np.zeros(rows, np.float32)

    yield "token_embd.weight", random_matrix(rng, token_count, width)
    yield "token_types.weight", random_matrix(rng, 2, width)
    yield "position_embd.weight", random_matrix(rng, context_length, width)
    yield from norm("token_embd_norm")
    for block in range(2):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield from linear(f"blk.{block}.{part}", width, width)
        yield from norm(f"blk.{block}.attn_output_norm")
        yield from linear(f"blk.{block}.ffn_up", 2 * width, width)
        yield from linear(f"blk.{block}.ffn_down", width, 2 * width)
        yield from norm(f"blk.{block}.layer_output_norm")
    if reranker:
        yield from linear("cls", width, width)
        yield from linear("cls.output", 1, width)
