"""Environment variables with our prefix that are no settings.

The tags are read from outside (`/proc/<pid>/environ`), to find what belongs to a home whoever its
parent is by now.
"""

from __future__ import annotations

PREFIX = "LLAMA_PROXY_"

HOME = "LLAMA_PROXY_HOME"
"""The home directory; also set for every process of a stack."""

CONFIG = "LLAMA_PROXY_CONFIG"
"""The configuration file."""

STACK = "LLAMA_PROXY_STACK"
"""Tag of all that `llama-proxy up` started: the home's path."""

ENGINE = "LLAMA_PROXY_ENGINE"
"""Tag of an engine: `<home's path>:<instance id>`."""

SUPERVISOR = "LLAMA_PROXY_SUPERVISOR"
"""Set for every program of a stack: the pid of the supervisord that `llama-proxy up` started."""

BEARER = "LLAMA_PROXY_TOKEN"
"""The access token that the CLI shows, where --token gives none."""

RESERVED = frozenset({HOME, CONFIG, STACK, ENGINE, SUPERVISOR, BEARER})
