"""Which group of the parameters page each flag belongs to; every flag is in exactly one.

A flag of a newer llama.cpp is placed by the first words of its name, else by the section of the
help that it stands in.
"""

from __future__ import annotations

from collections.abc import Mapping

MODEL_SETTINGS = "Model Settings"
PERFORMANCE = "Performance"
SAMPLING = "Sampling"
GPU = "GPU"
MEMORY = "Memory"
CONTEXT_EXTENSION = "Context Extension"
ADAPTERS = "Adapters"
CHAT = "Chat and Reasoning"
SPECULATIVE = "Speculative Decoding"
MULTIMODAL = "Multimodal"
EMBEDDING = "Embedding and Reranking"
SERVER = "Server"
LOGGING = "Logging"
OTHER = "Other"

CATEGORIES = (
    *(MODEL_SETTINGS, PERFORMANCE, SAMPLING, GPU, MEMORY, CONTEXT_EXTENSION, ADAPTERS, CHAT),
    *(SPECULATIVE, MULTIMODAL, EMBEDDING, SERVER, LOGGING, OTHER),
)
"""In the order in which they are shown."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    MODEL_SETTINGS: (
        *("model", "alias", "tags", "ctx-size", "n-gpu-layers", "n-predict", "keep", "offline"),
        *("override-kv", "check-tensors", "parallel", "context-shift", "model-url", "special"),
        *("docker-repo", "spec-default"),
    ),
    PERFORMANCE: (
        *("batch-size", "ubatch-size", "flash-attn", "cont-batching", "warmup", "op-offload"),
        *("repack", "no-host", "perf", "numa", "backend-sampling", "prio", "prio-batch", "poll"),
        "poll-batch",
    ),
    SAMPLING: ("ignore-eos", "escape", "reverse-prompt", "spm-infill"),
    GPU: (
        *("device", "split-mode", "tensor-split", "main-gpu", "fit", "fit-target", "fit-ctx"),
        *("override-tensor", "cpu-moe", "n-cpu-moe", "n-cpu-ffn", "list-devices"),
    ),
    MEMORY: (
        *("swa-full", "defrag-thold", "load-mode", "lazy-mode", "mmap", "mlock", "direct-io"),
        *("ctx-checkpoints", "checkpoint-min-step", "sleep-idle-seconds"),
    ),
    ADAPTERS: (),
    CHAT: ("jinja", "skip-chat-parsing", "prefill-assistant"),
    MULTIMODAL: ("mtmd-batch-max-tokens",),
    EMBEDDING: ("embeddings", "reranking", "pooling", "embd-normalize"),
    SERVER: ("rpc", "agent", "metrics", "props", "slots", "timeout", "help", "version"),
    LOGGING: ("verbose", "verbosity"),
}

# Longer ones first where one begins another.
_PREFIXES: Mapping[str, str] = {
    **dict.fromkeys(("cache-list", "completion-"), SERVER),
    **dict.fromkeys(("rope-", "yarn-"), CONTEXT_EXTENSION),
    **dict.fromkeys(("kv-", "cache-"), MEMORY),
    **dict.fromkeys(("lora", "control-vector"), ADAPTERS),
    **dict.fromkeys(("chat-template", "reasoning"), CHAT),
    **dict.fromkeys(("spec-", "lookup-cache", "draft"), SPECULATIVE),
    **dict.fromkeys(("mmproj", "image-", "video-", "audio-"), MULTIMODAL),
    **dict.fromkeys(("threads-http",), SERVER),
    **dict.fromkeys(("threads", "cpu-"), PERFORMANCE),
    **dict.fromkeys(("log-",), LOGGING),
    **dict.fromkeys(("hf-", "embd-", "fim-", "gpt-oss-", "vision-"), MODEL_SETTINGS),
}

_SECTIONS: Mapping[str, str] = {
    "common": OTHER,
    "sampling": SAMPLING,
    "speculative": SPECULATIVE,
    "example-specific": SERVER,
}

_BY_NAME = {name: category for category, names in _NAMES.items() for name in names}


def category_of(name: str, section: str = "") -> str:
    """The category of a flag by its canonical name.

    `section` is the first word of its heading in the help, where that is known.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    for prefix, category in _PREFIXES.items():
        if name.startswith(prefix):
            return category
    return _SECTIONS.get(section, OTHER)
