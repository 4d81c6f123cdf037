"""What the settings say of the requests for each model: parameters, and how many at a time."""

from __future__ import annotations

from common.live_settings import LiveSettings
from common.settings import ModelSettings, Settings
from gateway.proxy.body_filters import BodyFilter

REQUESTS_PER_SLOT = 4
"""Where no setting says it: one at work, and three that follow at once from the engine's queue."""

_NOTHING_SAID = ModelSettings()
_UNCHANGED = BodyFilter()


def limit(model: ModelSettings | None, settings: Settings, slots: int | None) -> int | None:
    """How many requests a model takes at a time; None, while its engine has not told its slots, for
    any number. Pure.
    """
    of_model = (model or _NOTHING_SAID).max_concurrent
    configured = settings.llama.max_concurrent if of_model is None else of_model
    if configured:
        return configured
    return None if slots is None else slots * REQUESTS_PER_SLOT


class ModelRules:
    """Follows the settings as they change; asked for every request."""

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self._filters = _filters(live.current)
        live.on_change(self._changed)

    def body_filter(self, model_id: str) -> BodyFilter:
        """What to change in the bodies for a model."""
        return self._filters.get(model_id, _UNCHANGED)

    def limit(self, model_id: str, slots: int | None) -> int | None:
        """How many requests a model takes at a time; None for any number."""
        settings = self._live.current
        return limit(settings.models.get(model_id), settings, slots)

    def aliases(self, model_id: str) -> tuple[str, ...]:
        """The other names of a model."""
        return self._live.current.models.get(model_id, _NOTHING_SAID).aliases

    def _changed(self, _before: Settings, after: Settings) -> None:
        self._filters = _filters(after)


def _filters(settings: Settings) -> dict[str, BodyFilter]:
    return {
        model_id: BodyFilter(strip=model.strip_params, fixed=model.set_params)
        for model_id, model in settings.models.items()
        if model.strip_params or model.set_params
    }
