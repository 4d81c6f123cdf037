"""Flags that llama.cpp had, and what took their place; consulted for what an engine does not know.

From llama.cpp's common/arg.cpp and the notes of its releases. An engine that still has such a flag
lists it in its help, and what it lists is right.
"""

from __future__ import annotations

from collections.abc import Mapping

_DRAFT = "spec-draft-"

REMOVED: Mapping[str, str] = {
    **dict.fromkeys(("mmap", "no-mmap", "mlock"), "load-mode (auto, none, mmap, mlock …)"),
    **dict.fromkeys(
        ("direct-io", "dio", "no-direct-io", "ndio"), "load-mode = dio, or another of its modes"
    ),
    **dict.fromkeys(("draft", "draft-n", "draft-max"), f"{_DRAFT}n-max"),
    **dict.fromkeys(("draft-min", "draft-n-min"), f"{_DRAFT}n-min"),
    "draft-p-min": f"{_DRAFT}p-min",
    "draft-p-split": f"{_DRAFT}p-split",
    **dict.fromkeys(("model-draft", "md"), f"{_DRAFT}model"),
    **dict.fromkeys(("gpu-layers-draft", "n-gpu-layers-draft", "ngld"), f"{_DRAFT}ngl"),
    **dict.fromkeys(("threads-draft", "td"), f"{_DRAFT}threads"),
    **dict.fromkeys(("device-draft", "devd"), f"{_DRAFT}device"),
    **dict.fromkeys(("cache-type-k-draft", "ctkd"), f"{_DRAFT}type-k"),
    **dict.fromkeys(("cache-type-v-draft", "ctvd"), f"{_DRAFT}type-v"),
    **dict.fromkeys(("ctx-size-draft", "cd"), "ctx-size; a draft model has the same"),
    "spec-ngram-size-n": "the -size-n flag of one kind, as in spec-ngram-simple-size-n",
    "spec-ngram-size-m": "the -size-m flag of one kind, as in spec-ngram-simple-size-m",
    "spec-ngram-min-hits": "the -min-hits flag of one kind, as in spec-ngram-simple-min-hits",
    "swa-checkpoints": "ctx-checkpoints",
    **dict.fromkeys(("webui", "no-webui"), "ui"),
    **dict.fromkeys(("grp-attn-n", "gan", "grp-attn-w", "gaw"), "rope-scaling with rope-scale"),
    "log-format": "nothing: the format is fixed",
    **dict.fromkeys(("embeddings-only",), "embeddings"),
    **dict.fromkeys(("slots-endpoint-disable",), "slots = false"),
}
"""Spelling without dashes → what to use instead."""
