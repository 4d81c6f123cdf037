"""Which preset each model uses from its next load, and the file that remembers it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from workers.controller import durable
from workers.controller.presets.sections import EVERY_MODEL

logger = logging.getLogger(__name__)


class Applied(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Preset names: one for every model, and those of models that use another."""

    every_model: str | None = None
    models: dict[str, str] = {}

    def of(self, model_id: str) -> str | None:
        """The preset that somebody has said this model shall use."""
        return self.models.get(model_id, self.every_model)

    def users(self, preset: str) -> tuple[str, ...]:
        """Who uses a preset: ids, and `*` where all do that use no other."""
        every = [EVERY_MODEL] if self.every_model == preset else []
        return (*every, *sorted(key for key, value in self.models.items() if value == preset))

    def to_all(self, preset: str) -> Applied:
        """Every model uses this one, whatever it used before."""
        return Applied(every_model=preset)

    def to_some(self, preset: str, model_ids: Iterable[str]) -> Applied:
        """These models use this one."""
        return self._with(self.every_model, {**self.models, **dict.fromkeys(model_ids, preset)})

    def without(self, preset: str) -> Applied:
        """Nobody uses this one any more."""
        every = None if self.every_model == preset else self.every_model
        return self._with(every, {k: v for k, v in self.models.items() if v != preset})

    def renamed(self, preset: str, to: str) -> Applied:
        """Whoever used this one uses it by its new name."""
        every = to if self.every_model == preset else self.every_model
        return self._with(every, {k: to if v == preset else v for k, v in self.models.items()})

    @staticmethod
    def _with(every_model: str | None, models: Mapping[str, str]) -> Applied:
        return Applied(every_model=every_model, models=dict(models))


def read(path: Path) -> Applied:
    """What was applied when the last controller ended; nothing where that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Applied)
    except FileNotFoundError:
        return Applied()
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("%s cannot be read, no preset is applied: %s", path, error)
        return Applied()


def write(path: Path, applied: Applied) -> None:
    """Remember it. Raises OSError; what was remembered before is kept then."""
    durable.replace(path, msgspec.json.encode(applied))
