"""What may be meant in a configuration, but is worth a second look. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from common.engine_flags.facts import EVERY_MODEL, Facts, ModelFacts
from common.engine_flags.numbers import SMALL_CONTEXT
from common.engine_flags.words import is_whole

_NO_LAYERS = frozenset({"0", "auto", "-1"})
"""Values of n-gpu-layers that ask for no GPU where there is none."""

# These let a model go beyond what it was trained with.
_STRETCHING = ("rope-scaling", "rope-scale", "rope-freq-base", "rope-freq-scale", "yarn-orig-ctx")

# Bytes for one number of a KV cache; a block of 32 has one or two scales of two bytes with it.
_ELEMENT_BYTES: Mapping[str, float] = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
_DEFAULT_TYPE = "f16"
_MIB = 2**20


class Advice(NamedTuple):
    """A remark on a flag by its canonical name, without its section and key."""

    name: str
    message: str


def advise(section: str, config: Mapping[str, Mapping[str, str]], facts: Facts) -> Iterator[Advice]:
    """Remarks on one section. `config` has all sections with canonical names, errors left out."""
    flags = config[section]
    context = _whole(flags.get("ctx-size"))
    if context is not None and 0 < context < SMALL_CONTEXT:
        yield Advice(
            "ctx-size",
            f"{context} tokens are soon full; consider setting ctx-size to at least"
            f" {SMALL_CONTEXT}",
        )
    models = {
        model_id: model
        for model_id, model in facts.models_of(section).items()
        if section != EVERY_MODEL or "ctx-size" not in config.get(model_id, {})
    }
    if context and not any(name in flags for name in _STRETCHING):
        yield from _beyond_training(context, models)
    if context is not None:
        yield from _too_big(context, flags, models, facts.memory_bytes)
    yield from _without_gpu(flags, facts)
    yield from _too_much_cache(flags, facts)


def _beyond_training(context: int, models: Mapping[str, ModelFacts]) -> Iterator[Advice]:
    over = {
        model_id: model.context_length
        for model_id, model in models.items()
        if model.context_length is not None and 0 < model.context_length < context
    }
    if over:
        model_id, trained = min(over.items(), key=lambda item: item[1])
        yield Advice(
            "ctx-size",
            f"{context} is above the {trained} tokens that {model_id} was trained with"
            f"{_and_others(len(over))}; answers become worse beyond them",
        )


def _too_big(
    context: int,
    flags: Mapping[str, str],
    models: Mapping[str, ModelFacts],
    memory_bytes: int | None,
) -> Iterator[Advice]:
    if memory_bytes is None:
        return
    needed = {
        model_id: _needed_bytes(context, flags, model)
        for model_id, model in models.items()
        if model.kv_elements_per_token is not None
    }
    over = {model_id: size for model_id, size in needed.items() if size > memory_bytes}
    if over:
        model_id, size = max(over.items(), key=lambda item: item[1])
        yield Advice(
            "ctx-size",
            f"with {model_id} it takes about {_gib(size)}{_and_others(len(over))}, more than the"
            f" {_gib(memory_bytes)} of the roomiest runner",
        )


def _needed_bytes(context: int, flags: Mapping[str, str], model: ModelFacts) -> float:
    """Weights and KV cache; half of the cache's numbers are keys."""
    per_element = sum(
        _ELEMENT_BYTES.get(flags.get(name, _DEFAULT_TYPE), 2.0) / 2
        for name in ("cache-type-k", "cache-type-v")
    )
    tokens = context or model.context_length or 0
    return (model.size_bytes or 0) + tokens * (model.kv_elements_per_token or 0) * per_element


def _without_gpu(flags: Mapping[str, str], facts: Facts) -> Iterator[Advice]:
    if facts.gpus is False and flags.get("n-gpu-layers", "0") not in _NO_LAYERS:
        yield Advice("n-gpu-layers", "no runner has a GPU, so the layers stay in RAM")


def _too_much_cache(flags: Mapping[str, str], facts: Facts) -> Iterator[Advice]:
    """cache-ram is in RAM, whose size is known where runners have no GPU."""
    mib = _whole(flags.get("cache-ram"))
    if mib is None or facts.gpus is not False or facts.memory_bytes is None:
        return
    if mib * _MIB > facts.memory_bytes:
        yield Advice(
            "cache-ram",
            f"{_gib(mib * _MIB)} are more than the {_gib(facts.memory_bytes)} of RAM that there is",
        )


def _whole(value: str | None) -> int | None:
    return int(value) if value is not None and is_whole(value) else None


def _and_others(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
