"""The settings as they are now: what a process started with, until the controller tells of others.

Read `current` at each use; `on_change` is for what has to be done about a change. Keys that are
not live (`common.settings_effects`) show here as configured, not as this process has them: where it
listens, say, is in the settings that it started with.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from common.api import config
from common.api.config import CurrentSettings
from common.bus.bus import Bus
from common.settings import Settings

CONTROLLER = "controller"
"""The one process whose word counts."""

Listener = Callable[[Settings, Settings], None]
"""(before, after)."""


class LiveSettings:
    """One process's view of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.current = settings
        self._listeners: list[Listener] = []

    def on_change(self, listener: Listener) -> None:
        """Call `listener` whenever anything has changed."""
        self._listeners.append(listener)

    def replace(self, settings: Settings) -> None:
        """From now on these hold."""
        before, self.current = self.current, settings
        if before != settings:
            for listener in self._listeners:
                listener(before, settings)

    def follow(self, bus: Bus) -> None:
        """Hear from the controller, as soon as the bus runs."""
        bus.mirror(config.SETTINGS).on_change(self._told)

    def _told(
        self,
        owner: str,
        _key: str,
        _before: CurrentSettings | None,
        after: CurrentSettings | None,
    ) -> None:
        if owner == CONTROLLER and after is not None:
            self.replace(msgspec.convert(after.settings, Settings))
