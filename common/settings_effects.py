"""What a change of each key takes: nothing more, or new processes; and who may make it.

A key that no process needs to be started anew for is live: every process follows it within a
moment (`common.live_settings`), and no loaded model is touched. A test holds this table against
`common.settings`: every key is here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from common.api.bus import ProcessKind

StartedAnew = ProcessKind | Literal["up"]
"""A kind of processes, or `llama-proxy up` itself, which decides which programs there are and where
they write."""


@dataclass(frozen=True)
class Effect:
    """`restart`: the kinds of processes that have to be started anew; empty: live.

    `admin`: it names a program, a directory or an address, so an operator may not change it.
    `fixed`: it guards others, so nobody changes it from outside.
    """

    restart: tuple[StartedAnew, ...] = ()
    admin: bool = False
    fixed: bool = False


_LIVE = Effect()
_LIVE_FOR_ADMINS = Effect(admin=True)
_UP = Effect(restart=("up",))
_UP_FOR_ADMINS = Effect(restart=("up",), admin=True)

EFFECTS: Mapping[str, Effect] = {
    # The proxy answers the pages of the gateway's own origin.
    "server.host": Effect(restart=("gateway", "proxy"), admin=True),
    "server.port": Effect(restart=("gateway", "proxy")),
    "server.allowedOrigins": Effect(restart=("gateway",), admin=True),
    "server.allowedHosts": Effect(restart=("gateway",), admin=True),
    "llama.serverPath": _LIVE_FOR_ADMINS,
    "llama.allowedServerDirs": Effect(fixed=True),
    "llama.modelsDir": _LIVE_FOR_ADMINS,
    "llama.host": Effect(restart=("proxy",), admin=True),
    "llama.port": Effect(restart=("proxy",)),
    "llama.allowedOrigins": Effect(restart=("proxy",), admin=True),
    "llama.allowedHosts": Effect(restart=("proxy",), admin=True),
    "llama.maxModels": _LIVE,
    "llama.queueTimeout": _LIVE,
    "llama.maxQueue": _LIVE,
    "llama.maxConcurrent": _LIVE,
    "llama.ttlSeconds": _LIVE,
    "llama.loadTimeoutSeconds": _LIVE,
    "llama.drainTimeoutSeconds": _LIVE,
    "llama.preload": _LIVE,
    # Paths among them are for admins: `common.settings_difference`.
    "llama.flags": _LIVE,
    "llama.maxBodyBytes": _LIVE,
    "proxy.processes": _UP,
    "presets.path": _LIVE_FOR_ADMINS,
    "logging.level": _LIVE,
    "logging.path": _UP_FOR_ADMINS,
    "runner.engineHost": _LIVE_FOR_ADMINS,
    "runner.stopGraceSeconds": _LIVE,
    "metrics.intervalSeconds": _LIVE,
    "host.name": _UP_FOR_ADMINS,
    "backplane.listen": _UP_FOR_ADMINS,
    "backplane.join": _UP_FOR_ADMINS,
    "backplane.keysDir": _UP_FOR_ADMINS,
    # Their environment is for admins: `common.settings_difference`.
    "runners": _UP,
    "models": _LIVE,
}
"""By the path of the key."""
