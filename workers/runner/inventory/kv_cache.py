"""How much a model's KV cache holds for each token of context. Pure.

Key names are those of llama.cpp's src/llama-arch.cpp.
"""

from __future__ import annotations

from workers.runner.inventory.gguf_header import Header

_LIMIT = 2**40
"""Far beyond every model; a header that says more is not to be believed, and must fit the wire."""


def kv_elements_per_token(header: Header, architecture: str | None) -> int | None:
    """How many numbers: over all layers, key and value heads times their length.

    None where the header does not tell it, and for models whose layers keep only a window of the
    context or a state of fixed size, for which no such figure holds.
    """
    found = _elements(header, architecture)
    return found if found is not None and 0 < found < _LIMIT else None


def _elements(header: Header, architecture: str | None) -> int | None:
    layers = header.integer(f"{architecture}.block_count")
    if not layers or header.integer(f"{architecture}.attention.sliding_window"):
        return None
    if rank := header.integer(f"{architecture}.attention.kv_lora_rank"):
        # Multi-head latent attention: one compressed vector for keys and values, and its position.
        return layers * (rank + (header.integer(f"{architecture}.rope.dimension_count") or 0))
    heads = _kv_heads(header, architecture, layers)
    lengths = _head_lengths(header, architecture)
    return heads * lengths if heads and lengths else None


def _kv_heads(header: Header, architecture: str | None, layers: int) -> int | None:
    """Of all layers together; those without attention have none."""
    key = f"{architecture}.attention.head_count_kv"
    each = header.metadata.get(key)
    if isinstance(each, tuple):
        counts = [count for count in each if isinstance(count, int) and count >= 0]
        return sum(counts) if len(counts) == len(each) else None
    if header.integer(f"{architecture}.ssm.state_size") is not None:
        return None
    count = header.integer(key) or header.integer(f"{architecture}.attention.head_count")
    return count * layers if count else None


def _head_lengths(header: Header, architecture: str | None) -> int | None:
    """A key and a value of one head."""
    width = header.integer(f"{architecture}.embedding_length")
    heads = header.integer(f"{architecture}.attention.head_count")
    usual = width // heads if width and heads else None
    key = header.integer(f"{architecture}.attention.key_length") or usual
    value = header.integer(f"{architecture}.attention.value_length") or usual
    return key + value if key and value else None
