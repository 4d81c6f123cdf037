"""Whether a port that other machines can reach would stand open to everybody."""

from __future__ import annotations

from typing import Literal

from common.errors import ConfigInvalid
from common.home import Home
from common.hosts import is_loopback
from common.settings import Settings
from common.token_store import TokenStore

Entrance = Literal["server", "llama"]
"""The sections of the settings that name an address for clients."""


def check_guarded(settings: Settings, home: Home, *entrances: Entrance) -> None:
    """Raise ConfigInvalid where an entrance is public and there are no tokens. Reads a file."""
    public = {entrance: getattr(settings, entrance).host for entrance in entrances}
    for entrance, host in public.items():
        if not is_loopback(host) and not TokenStore(home.tokens_file).tokens():
            raise ConfigInvalid(
                f"{entrance}.host: other machines can reach {host}, so access tokens are needed and"
                " there are none; make one with `llama-proxy token create --role admin --name NAME`"
            )
