"""`llama-proxy keys`: how hosts get to know each other before they talk.

Only public keys are ever shown. They are hexadecimal, which every shell and mail leaves alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from common.bus.key_files import KeyFiles, parse_key
from common.home import Home
from common.settings import Settings
from deploy.failure import CommandFailed, ExitCode


def show(home: Home, settings: Settings) -> Iterator[str]:
    """This host's key, made now if there is none, and whom it knows; a line each."""
    keys = _files(home, settings)
    host = settings.host.resolved_name()
    yield f"This host       {host}  {keys.make_own().public.hex()}"
    if keys.has_main:
        yield f"Main host       {keys.main().hex()}"
    for public, name in keys.allowed().items():
        yield f"May join        {name}  {public.hex()}"


def allow(home: Home, settings: Settings, host: str, key: str) -> str:
    """Let a host join this one."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,62}", host):
        raise CommandFailed(
            f"{host!r} cannot be the name of a host: letters, digits, dots, dashes, underscores",
            ExitCode.USAGE,
        )
    if host == settings.host.resolved_name():
        raise CommandFailed(
            f"{host} is this host itself; give each host a name of its own (host.name)"
        )
    _files(home, settings).allow(host, _key(key))
    return f"{host} may join"


def forget(home: Home, settings: Settings, host: str) -> str:
    """Do not let a host join any more."""
    if not _files(home, settings).forget(host):
        raise CommandFailed(f"{host} was not allowed to join")
    return f"{host} may join no longer"


def trust(home: Home, settings: Settings, key: str) -> str:
    """Take the host with this key for the main host."""
    _files(home, settings).trust(_key(key))
    return "that is the main host's key from the next start on"


def check(home: Home, settings: Settings) -> None:
    """Raise ConfigInvalid unless the keys are there that the settings need."""
    if settings.backplane.listen:
        _files(home, settings).own()
    if settings.backplane.join:
        _files(home, settings).credentials()


def _files(home: Home, settings: Settings) -> KeyFiles:
    return KeyFiles(home.keys(settings))


def _key(text: str) -> bytes:
    try:
        return parse_key(text)
    except ValueError as error:
        raise CommandFailed(
            f"this is no key as `llama-proxy keys` shows them: {error}", ExitCode.USAGE
        ) from error
