"""What a configuration is checked against, besides the engine's flags: models, memory, paths."""

from __future__ import annotations

from common.engine_flags.facts import Facts, ModelFacts
from common.engine_flags.places import path_rule
from common.home import Home
from common.live_settings import LiveSettings
from workers.controller.fleet import Fleet


class Surroundings:
    """Gathers what is known of the fleet at the moment of a check."""

    def __init__(self, fleet: Fleet, home: Home, live: LiveSettings) -> None:
        self._fleet = fleet
        self._home = home
        self._live = live

    def facts(self) -> Facts:
        """A snapshot, which a thread may look at; the groups depend on the configuration."""
        return Facts(
            models={
                key: ModelFacts(
                    context_length=file.context_length,
                    size_bytes=file.size,
                    kv_elements_per_token=file.kv_elements_per_token,
                )
                for _, key, file in self._fleet.files.items()
            },
            gpus=self._fleet.has_gpus(),
            memory_bytes=max(
                (runner.memory_total for runner in self._fleet.runners()), default=None
            ),
            refuse_path=path_rule(self._home, self._live.current),
        )
