"""The keys of a host on disk: 64 hexadecimal digits per file, in a private directory.

| file | what it holds |
|---|---|
| `host.secret`, `host.public` | this host's own pair |
| `main.public` | on a host that joins: the main host's public key |
| `allowed/<host>.public` | on the main host: who may join, and under which name |
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.bus.security import KEY_BYTES, Credentials, KeyPair
from common.errors import ConfigInvalid

_SUFFIX = ".public"


@dataclass(frozen=True)
class KeyFiles:
    """The keys below one directory. Nothing exists before the first one is written."""

    directory: Path

    def own(self) -> KeyPair:
        """This host's pair.

        Raises `ConfigInvalid` where there is none, or where others can read it.
        """
        secret = self.directory / "host.secret"
        try:
            mode = stat.S_IMODE(secret.stat().st_mode)
        except FileNotFoundError:
            raise ConfigInvalid(
                f"this host has no key in {self.directory}, and other hosts are met by key only;"
                " make one with: llama-proxy keys"
            ) from None
        if mode & 0o077:
            raise ConfigInvalid(f"others can read {secret}; run: chmod 600 {secret}")
        return KeyPair(_read(self.directory / "host.public"), _read(secret))

    def make_own(self) -> KeyPair:
        """This host's pair, made now if there is none."""
        if not (self.directory / "host.secret").exists():
            pair = KeyPair.new()
            # The secret last: it is what says that there is a pair.
            self._write("host.public", pair.public)
            self._write("host.secret", pair.secret)
        return self.own()

    @property
    def has_main(self) -> bool:
        """Whether this host was told whom to join."""
        return (self.directory / "main.public").exists()

    def main(self) -> bytes:
        """The main host's public key. Raises `ConfigInvalid` where none was given."""
        try:
            return _read(self.directory / "main.public")
        except FileNotFoundError:
            raise ConfigInvalid(
                f"the main host's public key is not in {self.directory}; `llama-proxy keys` shows"
                " it there, and here it is told with: llama-proxy keys trust KEY"
            ) from None

    def trust(self, public: bytes) -> None:
        """Take the host with this key for the main host, from the next start on."""
        self._write("main.public", public)

    def credentials(self) -> Credentials:
        """What joining takes. Raises `ConfigInvalid`."""
        return Credentials(self.own(), self.main())

    def allowed(self) -> Mapping[bytes, str]:
        """The names of the hosts that may join, by public key."""
        files = sorted((self.directory / "allowed").glob(f"*{_SUFFIX}"))
        return {_read(file): file.name.removesuffix(_SUFFIX) for file in files}

    def allow(self, host: str, public: bytes) -> None:
        """Let the owner of this key join as `host`.

        Raises `ConfigInvalid` where it is known under another name.
        """
        known = self.allowed().get(public, host)
        if known != host:
            raise ConfigInvalid(
                f"this key belongs to {known} already; every host has a key of its own"
                f" (llama-proxy keys forget {known})"
            )
        self._write(f"allowed/{host}{_SUFFIX}", public)

    def forget(self, host: str) -> bool:
        """Do not let `host` join any more; false if it was not allowed."""
        try:
            (self.directory / "allowed" / f"{host}{_SUFFIX}").unlink()
        except FileNotFoundError:
            return False
        return True

    def _write(self, name: str, key: bytes) -> None:
        """Replace a file whole, readable by this user alone from the first byte on."""
        target = self.directory / name
        for directory in (self.directory, target.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key.hex()}\n")
        draft.replace(target)


def parse_key(text: str) -> bytes:
    """A key from its hexadecimal digits. Raises `ValueError`."""
    key = bytes.fromhex(text)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {2 * KEY_BYTES} hexadecimal digits, not {len(text)}")
    return key


def _read(file: Path) -> bytes:
    try:
        return parse_key(file.read_text("ascii").strip())
    except ValueError as error:
        raise ConfigInvalid(f"{file} holds no key: {error}") from error
