"""What a configuration is checked against, besides the engine's flags."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from common.engine_flags.values import PathRule


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model; null where nobody can tell.

    `context_length` is that of its training in tokens, `size_bytes` that of its files together.
    `kv_elements_per_token` is how many numbers the KV cache holds for each token of context: over
    all layers, key and value heads times their length.
    """

    context_length: int | None = None
    size_bytes: int | None = None
    kv_elements_per_token: int | None = None


def no_path(path: str) -> str:
    """The rule where nobody has said where engines may read: nowhere."""
    _ = path
    return "no directory is allowed"


@dataclass(frozen=True)
class Facts:
    """What is known of the fleet at the moment of a check.

    `models` is None where the inventory is not known (the names of sections are then not checked).
    `groups` names each group with the ids of its models. `gpus`: whether any runner has a GPU
    (None: not known). `memory_bytes` is that of the roomiest runner. `refuse_path` says why a path
    may not be given to an engine (`places.path_rule`); the default allows none.
    """

    models: Mapping[str, ModelFacts] | None = None
    groups: Mapping[str, Collection[str]] = field(default_factory=dict)
    gpus: bool | None = None
    memory_bytes: int | None = None
    refuse_path: PathRule = no_path

    def models_of(self, section: str) -> dict[str, ModelFacts]:
        """The known models that a section speaks of."""
        models = self.models or {}
        if section == EVERY_MODEL:
            return dict(models)
        ids = self.groups.get(section, (section,))
        return {model_id: models[model_id] for model_id in ids if model_id in models}


EVERY_MODEL = "*"
"""The section that all models heed."""
