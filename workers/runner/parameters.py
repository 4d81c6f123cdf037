"""Answers which flags the engine has that this runner would start.

A llama-server is asked for its help once: what it says is kept on disk by its path, modification
time and size. The embedded engine's flags are in its table. Where neither can be used, the shipped
catalogue speaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from common.api.parameters import DescribeParameters, EngineParameters
from common.engine_flags import shipped
from common.engine_flags.catalogue import shipped as shipped_catalogue
from common.engine_flags.help_text import parse_help
from common.engine_flags.reserved import marked
from common.errors import ModelLoadFailed
from workers import engine_help
from workers.runner.embedded.parameters import embedded_parameters
from workers.runner.engine import Engine

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of the files on disk; those of another format are made anew."""

RETRY_S = 60.0
"""How long a program that told nothing is not asked again."""


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a program said, and which file it was then."""

    format: int
    path: str
    mtime_ns: int
    size_bytes: int
    version: str
    help: str


class ParameterSource:
    """The flags of the engine that `find_engine` names at the moment."""

    def __init__(
        self, find_engine: Callable[[], Engine], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._find_engine = find_engine
        self._directory = directory
        # Without its GPUs a program says the same, and does not wait for drivers.
        self._environment = {**environment, "CUDA_VISIBLE_DEVICES": ""}
        self._one_at_a_time = asyncio.Lock()
        self._last: tuple[_Told, EngineParameters] | None = None
        self._silent: dict[tuple[str, int, int], float] = {}

    async def describe(self, _request: DescribeParameters) -> EngineParameters:
        """The flags, with those that are reserved marked. Takes some seconds at most."""
        try:
            engine = await asyncio.to_thread(self._find_engine)
        except ModelLoadFailed as error:
            logger.warning("the shipped catalogue of flags is used: %s", error)
            return shipped_parameters()
        if engine.kind == "embedded":
            return await asyncio.to_thread(embedded_parameters)
        async with self._one_at_a_time:
            return await self._of_program(Path(engine.program[0])) or shipped_parameters()

    async def _of_program(self, path: Path) -> EngineParameters | None:
        identity = await asyncio.to_thread(_identity, path)
        if self._last is not None and _identity_of(self._last[0]) == identity:
            return self._last[1]
        now = asyncio.get_running_loop().time()
        if identity is None or now - self._silent.get(identity, -RETRY_S) < RETRY_S:
            return None
        told = await asyncio.to_thread(self._remembered, identity)
        fresh = told is None
        try:
            told = told or await self._ask(identity)
            described = await asyncio.to_thread(_read, told)
        except engine_help.NoAnswer as error:
            logger.warning("%s does not tell its flags: %s; the shipped ones are used", path, error)
            self._silent = {identity: now}
            return None
        self._last = (told, described)
        if fresh:
            await asyncio.to_thread(self._remember, told)
        return described

    async def _ask(self, identity: tuple[str, int, int]) -> _Told:
        path, mtime_ns, size_bytes = identity
        text = await engine_help.ask([path, "--help"], self._environment)
        try:
            version = await engine_help.ask([path, "--version"], self._environment)
        except engine_help.NoAnswer as error:
            logger.info("%s does not tell its version: %s", path, error)
            version = ""
        return _Told(
            format=FORMAT,
            path=path,
            mtime_ns=mtime_ns,
            size_bytes=size_bytes,
            version=engine_help.version_in(version),
            help=text,
        )

    def _file(self, path: str) -> Path:
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return self._directory / f"engine-help-{name}.json"

    def _remembered(self, identity: tuple[str, int, int]) -> _Told | None:
        try:
            told = msgspec.json.decode(self._file(identity[0]).read_bytes(), type=_Told)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("what %s said of its flags is asked again: %s", identity[0], error)
            return None
        return told if told.format == FORMAT and _identity_of(told) == identity else None

    def _remember(self, told: _Told) -> None:
        """Failure costs no more than the time to ask again."""
        path = self._file(told.path)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(told))
            fresh.replace(path)
        except OSError as error:
            logger.warning("cannot write %s: %s", path, error)
            with contextlib.suppress(OSError):
                fresh.unlink()


def shipped_parameters() -> EngineParameters:
    """What this program knows of llama.cpp by itself."""
    return EngineParameters(
        kind="shipped",
        path="",
        version=shipped.VERSION,
        parameters=shipped_catalogue().parameters,
    )


def _read(told: _Told) -> EngineParameters:
    read = parse_help(told.help)
    if not read.is_llama_cpp:
        raise engine_help.NoAnswer("its help is not that of a llama.cpp server")
    return EngineParameters(
        kind="llama-server",
        path=told.path,
        version=told.version,
        parameters=tuple(marked(parameter) for parameter in read.parameters),
        removed=read.removed,
    )


def _identity(path: Path) -> tuple[str, int, int] | None:
    """Path, modification time and size; None where the file has gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_mtime_ns, found.st_size


def _identity_of(told: _Told) -> tuple[str, int, int]:
    return told.path, told.mtime_ns, told.size_bytes
