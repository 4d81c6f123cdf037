"""config:get, config:schema, config:update, config:validate."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from common import caller
from common.api import config
from common.api.config import (
    CheckedConfig,
    ConfigChanges,
    ConfigSchema,
    Configuration,
    GetConfig,
    GetConfigSchema,
    ProposedChanges,
    UpdatedConfig,
)
from common.bus.bus import Bus
from common.live_settings import CONTROLLER, LiveSettings
from common.settings import Settings
from common.settings_secrets import hide
from common.settings_values import as_json
from gateway.settings_schema import schema

CHANGE_S = 30.0
"""An engine that is chosen is run, to see what it is; a CUDA build takes its time."""


class ConfigHandlers:
    """Answers from this process's own copy; the controller changes."""

    def __init__(self, bus: Bus, live: LiveSettings) -> None:
        self._bus = bus
        self._shown = _shown(live.current)
        live.on_change(self._changed)

    async def get(self, _request: GetConfig) -> Configuration:
        """Everything that is configured."""
        return self._shown

    async def schema(self, _request: GetConfigSchema) -> ConfigSchema:
        """What may be configured. All processes of a stack have the environment of its supervisord,
        so ours says what the controller's does.
        """
        return schema(os.environ)

    async def update(self, request: ConfigChanges) -> UpdatedConfig:
        """Change, write down, and have it hold."""
        return await self._bus.change(
            CONTROLLER, config.APPLY, _proposed(request), config.SETTINGS, timeout_s=CHANGE_S
        )

    async def validate(self, request: ConfigChanges) -> CheckedConfig:
        """What `update` would do."""
        return await self._bus.call(
            CONTROLLER, config.CHECK, _proposed(request), timeout_s=CHANGE_S
        )

    def _changed(self, _before: Settings, after: Settings) -> None:
        self._shown = _shown(after)


def _proposed(request: ConfigChanges) -> ProposedChanges:
    changes: dict[str, Any] = msgspec.to_builtins(request)
    return ProposedChanges(changes=changes, role=caller.current().role)


def _shown(settings: Settings) -> Configuration:
    return msgspec.convert(hide(as_json(settings)), Configuration)
