"""Home: the one directory that holds everything a stack writes, and where in it each thing is.

Sockets live in `run/`. Their paths may have 107 bytes at most (sockaddr_un, unix(7)), so a home
with a long path gets a short private directory instead; `run` in home is then a link to it, which
every process of this home follows, whatever its environment says by then.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common import environment
from common.errors import ConfigInvalid
from common.settings import Settings

SOCKET_PATH_BYTES = 107
SOCKET_NAME_BYTES = 40
"""Room for the longest name in `run/`: supervisord appends its pid to the socket it is opening."""

DISTRIBUTION = "llama-async-proxy"

RUN_FILE_SUFFIX = ".run.json"


@dataclass(frozen=True)
class Home:
    """A home by its root, which is absolute. Nothing exists before `prepare`."""

    root: Path

    @property
    def config_file(self) -> Path:
        """The settings, unless --config or LLAMA_PROXY_CONFIG name another file."""
        return self.root / "config.toml"

    @property
    def lock_file(self) -> Path:
        """Held (flock) by `llama-proxy up`, whose pid it contains."""
        return self.root / "up.lock"

    @property
    def locks(self) -> Path:
        """One lock for each process of the stack. Not in `run`, which may be in /tmp: cleaners of
        /tmp would remove them under their holders."""
        return self.root / "locks"

    def process_lock(self, name: str) -> Path:
        """Held (flock) by the process of this name, whose pid it contains."""
        return self.locks / f"{name}.lock"

    @property
    def cache(self) -> Path:
        """What can be computed again: model headers and the like."""
        return self.root / "cache"

    @property
    def desired_file(self) -> Path:
        """Which models shall be loaded after a crash."""
        return self.root / "desired.json"

    @property
    def tokens_file(self) -> Path:
        """Access tokens (`common.token_store`)."""
        return self.root / "tokens.sqlite"

    def own_socket(self, process: str) -> Path:
        """Where a gateway answers those who may open home; `process` is its name on its host."""
        return self.run / f"{process}.sock"

    @property
    def applied_presets_file(self) -> Path:
        """Which preset each model uses. Not beside the presets: llama.cpp may read those, too."""
        return self.root / "applied_presets.json"

    def request_count(self, process: str) -> Path:
        """How many requests the proxy of this name has had answered, for its successors."""
        return self.root / f"{process}.requests"

    @property
    def engines(self) -> Path:
        """Engines that belong to this home: run-files and output."""
        return self.root / "engines"

    def run_files(self) -> list[Path]:
        """What runners wrote down of their engines (`<instance id>.run.json`), for successors."""
        return sorted(self.engines.glob(f"*{RUN_FILE_SUFFIX}"))

    def engine_outputs(self) -> list[Path]:
        """What engines have written (`<instance id>.log`), until their runner has delivered it."""
        return sorted(self.engines.glob("*.log"))

    @property
    def supervisord_conf(self) -> Path:
        """The rendered supervisord configuration; written anew at every `up`."""
        return self.root / "supervisord.conf"

    @property
    def run(self) -> Path:
        """Sockets, pid files and run-files; 0700."""
        direct = self.root / "run"
        if _has_room_for_sockets(direct):
            return direct
        return direct.readlink() if direct.is_symlink() else _short_directory(self.root)

    @property
    def supervisord_socket(self) -> Path:
        """Where supervisord takes XML-RPC calls."""
        return self.run / "supervisord.sock"

    @property
    def supervisord_pid_file(self) -> Path:
        """Written by supervisord."""
        return self.run / "supervisord.pid"

    def resolve(self, path: str) -> Path:
        """A path of the settings: `~` expanded, relative ones taken from home."""
        return Path(os.path.normpath(self.root / Path(path).expanduser()))

    def models(self, settings: Settings) -> Path:
        """The directory of model files."""
        return self.resolve(settings.llama.models_dir)

    def presets(self, settings: Settings) -> Path:
        """The directory of presets."""
        return self.resolve(settings.presets.path)

    def keys(self, settings: Settings) -> Path:
        """The directory of the keys that hosts know each other by."""
        return self.resolve(settings.backplane.keys_dir)

    def logs(self, settings: Settings) -> Path:
        """The directory of log files."""
        return self.resolve(settings.logging.path)

    def prepare(self, settings: Settings) -> None:
        """Create what is missing; existing directories keep their mode, except `run`.

        A models directory outside home must exist: it may be a disk that is not mounted yet.
        Raises ConfigInvalid.
        """
        models = self.models(settings)
        if not models.is_relative_to(self.root) and not models.is_dir():
            raise ConfigInvalid(
                f"llama.modelsDir: there is no directory {models}; create it or name another"
            )
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            models.mkdir(parents=True, exist_ok=True)
            for directory in (self.locks, self.cache, self.engines, self.logs(settings)):
                # Home may be one that others can look into: prompts and addresses are in these.
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._prepare_run()
        except OSError as error:
            raise ConfigInvalid(
                f"home {self.root}: cannot create {error.filename}: {error.strerror};"
                " choose another home with --home"
            ) from error

    def _prepare_run(self) -> None:
        link = self.root / "run"
        if _has_room_for_sockets(link):
            _make_private(link)
            return
        if link.is_symlink():
            try:
                _make_private(link.readlink())
            except FileNotFoundError:
                # Its parent went with a reboot or a logout: choose again.
                link.unlink(missing_ok=True)
            else:
                return
        target = _short_directory(self.root)
        if not _has_room_for_sockets(target):
            raise OSError(errno.ENAMETOOLONG, "too long a path for sockets", str(target))
        _make_private(target.parent)
        _make_private(target)
        try:
            link.symlink_to(target)
        except FileExistsError:
            # Another process of this home came first: its choice holds.
            _make_private(link.readlink())


def find_home(given: Path | None, environ: Mapping[str, str]) -> Home:
    """The home to use: `given` (--home), else LLAMA_PROXY_HOME, else the default.

    The default is `var` in the checkout that this code runs from, else
    `$XDG_STATE_HOME/llama-proxy` (`~/.local/state/llama-proxy`). Links are resolved, so that one
    home has one name.
    """
    if given is not None:
        root = given
    elif named := environ.get(environment.HOME):
        root = Path(named)
    elif (checkout := _checkout()) is not None:
        root = checkout / "var"
    else:
        state = environ.get("XDG_STATE_HOME", "")
        # The XDG base directory specification: relative paths there are to be ignored.
        base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
        root = base / "llama-proxy"
    return Home(root.expanduser().resolve())


def _checkout() -> Path | None:
    """The source tree that holds this file, recognised by the name in its pyproject.toml."""
    top = Path(__file__).resolve().parent.parent
    try:
        with (top / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file).get("project", {})
    except (OSError, tomllib.TOMLDecodeError):
        return None
    return top if project.get("name") == DISTRIBUTION else None


def _has_room_for_sockets(directory: Path) -> bool:
    return len(os.fsencode(directory)) + 1 + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES


def _short_directory(root: Path) -> Path:
    """A private place for the sockets of a home with a long path; the same for the same home."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    candidate = Path(runtime) / "llama-proxy" / name
    if runtime and Path(runtime).is_dir() and _has_room_for_sockets(candidate):
        return candidate
    return Path(tempfile.gettempdir()) / f"llama-proxy-{os.getuid()}" / name


def _make_private(directory: Path) -> None:
    """Make a directory with mode 0700, or check that the one that is there is ours.

    In a shared /tmp somebody else may have made the name first.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(
                errno.EACCES, "it is there, but not as a directory of this user", str(directory)
            ) from None
        if stat.S_IMODE(found.st_mode) != 0o700:
            directory.chmod(0o700)
