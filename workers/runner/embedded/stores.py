"""Flags of the embedded engine that are more than one attribute: how they are parsed and stored.

A store is called with `xllamacpp.CommonParams`, the parsed value and the xllamacpp module.
"""

from __future__ import annotations

import json
from typing import Any

from workers.runner.embedded.rows import whole_number

_MIB = 1024 * 1024


def layers(value: str) -> int:
    """Parses a number of layers, `auto` or `all`."""
    return {"auto": -1, "all": -2}.get(value) or whole_number(-2)(value)


def seed(value: str) -> int:
    """Parses a seed; -1 means a random one, which llama.cpp writes as the largest number."""
    return whole_number(-1, 2**32 - 1)(value) % 2**32


def content(path: str) -> str:
    """Parses a path into the text of the file."""
    # Few command lines name a file, and every engine waits for what is imported above.
    from pathlib import Path

    try:
        return Path(path).read_text()
    except OSError as error:
        raise ValueError(f"failed to open file '{path}': {error.strerror}") from None


def keys_in(path: str) -> list[str]:
    """Parses a path into the API keys of the file, one per line, # for comments."""
    lines = [line.strip() for line in content(path).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def json_object(value: str) -> dict[str, str]:
    """Parses a JSON object into its keys and the JSON of each value."""
    try:
        items = json.loads(value).items()
    except (ValueError, AttributeError):
        raise ValueError(f"'{value}' is not a JSON object") from None
    return {key: json.dumps(item) for key, item in items}


def context_size(params: Any, value: int, _library: Any) -> None:
    """The context; 0, asked for by name, is the full one, which --fit must not shrink."""
    params.n_ctx = value
    if value == 0:
        params.fit_params_min_ctx = -1


def tensor_split(params: Any, value: list[float], _library: Any) -> None:
    """Shares of the GPUs; llama.cpp wants one for every device that there could be."""
    params.tensor_split = value + [0.0] * (len(params.tensor_split) - len(value))


def fit(params: Any, value: str, _library: Any) -> None:
    """Whether to adjust to the memory."""
    params.fit_params = value == "on"


def fit_target(params: Any, value: list[float], _library: Any) -> None:
    """Memory left free, in MiB: one value for all devices, or one each for the first ones."""
    margins = [int(mib * _MIB) for mib in value]
    kept = params.fit_params_target
    params.fit_params_target = (
        margins * len(kept) if len(margins) == 1 else margins + kept[len(margins) :]
    )


def lora(params: Any, value: list[str], library: Any) -> None:
    """LoRA adapters at full strength."""
    params.lora_adapters = [library.CommonAdapterLoraInfo(path, 1.0) for path in value]


def log_everything(params: Any, _value: bool, _library: Any) -> None:
    """The highest verbosity."""
    params.verbosity = 2**31 - 1


def repeat_last_n(params: Any, value: int, _library: Any) -> None:
    """How far the repeat penalties look back; so many tokens must be remembered."""
    params.sampling.penalty_last_n = value
    params.sampling.n_prev = max(params.sampling.n_prev, value)


def rerank(params: Any, value: bool, library: Any) -> None:
    """Reranking, which is embedding with a pooling type of its own."""
    params.embedding = value
    params.pooling_type = library.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def aliases(params: Any, value: list[str], _library: Any) -> None:
    """Names of the model."""
    params.model_alias = set(value)


def add_api_keys(params: Any, value: list[str], _library: Any) -> None:
    """API keys beside those already given."""
    params.api_keys = [*params.api_keys, *value]


def timeout(params: Any, value: int, _library: Any) -> None:
    """One limit in seconds for reading and for writing."""
    params.timeout_read = value
    params.timeout_write = value


def add_template_arguments(params: Any, value: dict[str, str], _library: Any) -> None:
    """Arguments of the chat template beside those already given."""
    params.default_template_kwargs = params.default_template_kwargs | value


def reasoning(params: Any, value: str, library: Any) -> None:
    """Reasoning, for llama.cpp and for the chat template."""
    params.enable_reasoning = {"on": 1, "off": 0, "auto": -1}[value]
    if value != "auto":
        thinking = {"on": "true", "off": "false"}[value]
        add_template_arguments(params, {"enable_thinking": thinking}, library)
