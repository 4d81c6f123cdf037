"""The controller's presets, put together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from common.bus.bus import Bus
from common.engine_flags.catalogue import Catalogue
from common.home import Home
from common.live_settings import LiveSettings
from common.settings import Settings
from workers.controller.fleet import Fleet
from workers.controller.presets.catalogues import Catalogues
from workers.controller.presets.collection import Collection
from workers.controller.presets.commands import PresetCommands
from workers.controller.presets.loading import ModelPresets
from workers.controller.presets.surroundings import Surroundings


class Presets:
    """Answers what clients ask about presets; `for_models` is what loads ask."""

    def __init__(self, bus: Bus, fleet: Fleet, home: Home, live: LiveSettings) -> None:
        self._collection = Collection(bus, home.presets(live.current), home.applied_presets_file)
        self._catalogues = Catalogues(bus)
        surroundings = Surroundings(fleet, home, live)
        self.for_models = ModelPresets(self._collection, self._catalogues, surroundings)
        PresetCommands(bus, fleet, self._collection, self._catalogues, surroundings, live)

        def follow(_before: Settings, after: Settings) -> None:
            self._collection.use_directory(home.presets(after))

        live.on_change(follow)

    async def catalogue_in_use(self) -> Catalogue:
        """The flags that presets are held against."""
        return (await self._catalogues.in_use()).catalogue

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], object]) -> None:
        """Begin to follow the directory and the runners."""
        spawn(self._collection.run(), "presets")
        spawn(self._catalogues.run(), "engine flags")
