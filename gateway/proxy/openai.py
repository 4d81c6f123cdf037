"""Models as OpenAI's and llama.cpp's clients read them, and the one that does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.proxy.endpoints import MODELS_PATH, PATHS
from gateway.proxy.errors import Refused, refusal
from gateway.proxy.routing import ModelEntry, nearest_ids

_SHOWN_CHARACTERS = 100


# The words of llama.cpp's router (`server_model_status`); it has none for the others of ours.
_ROUTER_STATUS = {"unloading": "unloaded", "error": "unloaded"}


def router_status(model: ModelEntry) -> dict[str, Any]:
    """A model's status as llama.cpp's router has it: `value`, and `failed` or `progress`."""
    status: dict[str, Any] = {"value": _ROUTER_STATUS.get(model.status, model.status)}
    if model.status == "error":
        status["failed"] = True
    if model.status == "loading" and model.progress is not None:
        status["progress"] = {
            "stages": ["text_model"],
            "current": "text_model",
            "value": model.progress,
        }
    return status


def model_row(model: ModelEntry) -> dict[str, Any]:
    """A model as the OpenAI SDKs read it, and as the clients of llama.cpp's router do."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_s,
        "owned_by": "llamacpp",
        "path": model.path,
        "aliases": model.aliases,
        "status": router_status(model),
    }


def model_list(models: Sequence[ModelEntry]) -> dict[str, Any]:
    """The answer of `GET /v1/models`."""
    return {"object": "list", "data": [model_row(model) for model in models]}


def nothing_at(path: str) -> str:
    """What to say to a path that does not exist."""
    near = nearest_ids(path, PATHS)
    advice = f"Did you mean {' or '.join(near)}?" if near else f"Here are {', '.join(PATHS)}."
    return f"There is nothing at {path[:200]!r}. {advice}"


def unknown_model(wanted: str, models: Sequence[ModelEntry]) -> Refused:
    """404, naming up to three models that may have been meant."""
    shown = wanted if len(wanted) <= _SHOWN_CHARACTERS else wanted[:_SHOWN_CHARACTERS] + "…"
    names = [name for model in models for name in (model.id, *model.aliases)]
    near = nearest_ids(wanted, names)
    if near:
        advice = f"Did you mean {' or '.join(f'`{model_id}`' for model_id in near)}?"
    elif models:
        advice = f"There are {len(models)} others."
    else:
        advice = "There are no models yet: put .gguf files into the models directory."
    return refusal(
        404,
        f"The model `{shown}` does not exist. {advice} GET {MODELS_PATH} lists the models.",
        "model_not_found",
        param="model",
    )
