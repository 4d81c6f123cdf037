"""Turns a GGUF header into the groups that people read: General, Model, Tokenizer."""

from __future__ import annotations

import math
from typing import Any

from workers.runner.inventory.gguf_constants import FILE_TYPES
from workers.runner.inventory.gguf_header import Header
from workers.runner.inventory.gguf_metadata import ArrayInfo, MetadataValue

_GENERAL = (
    "name",
    "description",
    "type",
    "basename",
    "finetune",
    "size_label",
    "version",
    "author",
    "organization",
    "license",
    "url",
    "quantization_version",
)
_MODEL = (
    "context_length",
    "vocab_size",
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "attention.causal",
    "expert_count",
    "expert_used_count",
    "expert_shared_count",
    "expert_feed_forward_length",
    "pooling_type",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
)
_TOKENIZER = (
    "model",
    "pre",
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "padding_token_id",
    "unknown_token_id",
    "add_bos_token",
    "add_eos_token",
)


def describe(header: Header, size_bytes: int) -> dict[str, dict[str, Any]]:
    """Group → field → plain JSON value, fields by their GGUF names without the prefix.

    `size_bytes` is that of the whole model, all shards together. Fields that the file does not hold
    are left out; an array that was not kept shows as its length and element type.
    """
    architecture = header.text("general.architecture")
    return {
        "General": {
            **_present({"architecture": architecture, "file_type": file_type_name(header)}),
            "size_bytes": size_bytes,
            "parameter_count": header.parameter_count,
            "tensor_count": header.tensor_count,
            "gguf_version": header.version,
            **_fields(header, "general.", _GENERAL),
        },
        "Model": _fields(header, f"{architecture}.", _MODEL),
        "Tokenizer": {
            **_fields(header, "tokenizer.ggml.", _TOKENIZER),
            **_present(
                {
                    "token_count": token_count(header),
                    "chat_template": header.text("tokenizer.chat_template"),
                }
            ),
        },
    }


def file_type_name(header: Header) -> str | None:
    """How most tensors are stored, such as MOSTLY_Q4_K_M; `UNKNOWN_<number>` for a newer type."""
    number = header.integer("general.file_type")
    return None if number is None else FILE_TYPES.get(number, f"UNKNOWN_{number}")


def token_count(header: Header) -> int | None:
    """How many tokens the vocabulary has."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    return tokens.length if isinstance(tokens, ArrayInfo) else None


def _fields(header: Header, prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    return _present({name: _plain(header.metadata.get(prefix + name)) for name in names})


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: MetadataValue | None) -> Any:
    if isinstance(value, tuple):
        return [_plain(number) for number in value]
    if isinstance(value, ArrayInfo):
        return f"{value.length:,} x {value.element_type}"
    if isinstance(value, float):
        # Seven digits are all that a 32-bit number has: 1e-05 and not 9.999999747378752e-06.
        return float(f"{value:.7g}") if math.isfinite(value) else str(value)
    return value
