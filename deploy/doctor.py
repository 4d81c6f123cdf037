"""`llama-proxy doctor`: check what a stack needs, and say what to do about what is missing.

Every check returns findings and changes nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.filesize import decimal
from rich.text import Text

from common.devices import NVML, NvmlUnavailable
from common.errors import ConfigInvalid
from common.exposure import check_guarded
from common.home import Home
from common.settings import Settings
from common.token_store import TokenStore
from deploy import lock
from deploy.engine_check import EngineReport, check_engine
from deploy.failure import ExitCode
from deploy.ports import PortUnusable, check_free, stack_ports
from deploy.stack import missing_devices
from deploy.tables import console

Level = Literal["ok", "warn", "fail"]

_STYLES: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "red"}

# Below the first, logs may fill the disk soon; below the second, little can be written at all.
_FREE_WARN_BYTES = 2 << 30
_FREE_FAIL_BYTES = 100 << 20


@dataclass(frozen=True)
class Finding:
    """What one check found; `advice` is what to do, where something is to be done."""

    level: Level
    subject: str
    text: str
    advice: str = ""


def doctor(home: Home, settings: Settings) -> int:
    """Print all findings; the exit code is 1 if any of them failed."""
    findings = []
    out = console()
    for finding in examine(home, settings):
        findings.append(finding)
        line = Text.assemble(
            (f"{finding.level:<5}", _STYLES[finding.level]), f"{finding.subject:<8}", finding.text
        )
        out.print(line)
        if finding.advice:
            out.print(Text(f"{'':13}→ {finding.advice}"))
        sys.stdout.flush()
    return verdict(findings)


def verdict(findings: Sequence[Finding]) -> ExitCode:
    """A warning is no failure."""
    failed = any(finding.level == "fail" for finding in findings)
    return ExitCode.FAILED if failed else ExitCode.OK


def examine(home: Home, settings: Settings) -> Iterator[Finding]:
    """All checks, in the order in which a start needs them."""
    yield engine_finding(check_engine(home, settings))
    yield from _ports(home, settings)
    yield from _access(home, settings)
    yield from _gpus(settings)
    yield from _directories(home, settings)
    yield from _disks(home, settings)
    yield _models(home, settings)


def engine_finding(report: EngineReport) -> Finding:
    """An engine's report as a finding."""
    if report.problem is None:
        return Finding("ok", "engine", f"{report.what}: {report.version}")
    return Finding("fail", "engine", f"{report.what}: {report.problem}", report.advice)


def _ports(home: Home, settings: Settings) -> Iterator[Finding]:
    for port in stack_ports(settings):
        text = f"{port.number} on {port.host} ({port.setting})"
        try:
            check_free(port)
        except PortUnusable as error:
            if error.holder is not None and error.holder.home == str(home.root):
                yield Finding("ok", "port", f"{text} is held by this home's stack")
            else:
                yield Finding("fail", "port", str(error))
        else:
            running = lock.owner(home) is not None
            yield (
                Finding("warn", "port", f"{text}: nobody listens, though the stack is up", "")
                if running
                else Finding("ok", "port", f"{text} is free")
            )


def _access(home: Home, settings: Settings) -> Iterator[Finding]:
    if settings.backplane.join:
        return
    try:
        check_guarded(settings, home, "server", "llama")
        count = len(TokenStore(home.tokens_file).tokens())
    except ConfigInvalid as error:
        yield Finding("fail", "access", error.message)
        return
    if count:
        tokens = "the only access token" if count == 1 else f"one of {count} access tokens"
        yield Finding("ok", "access", f"with {tokens}, and by whoever may open home")
    else:
        yield Finding("ok", "access", "everybody on this machine, since there are no access tokens")


def _gpus(settings: Settings) -> Iterator[Finding]:
    for line in missing_devices(settings, NVML.gpus()).splitlines():
        yield Finding("fail", "gpu", line, "correct [[runners]], or see what nvidia-smi says")
    try:
        gpus = NVML.read_gpus()
    except NvmlUnavailable as error:
        yield Finding("ok", "gpu", f"no NVIDIA GPU ({error}): models run on the CPU")
        return
    if not gpus:
        yield Finding("warn", "gpu", "the NVIDIA driver shows no GPU", "see what nvidia-smi says")
    for gpu in gpus:
        free, total = decimal(gpu.memory_free_bytes), decimal(gpu.memory_total_bytes)
        yield Finding("ok", "gpu", f"{gpu.index}: {gpu.name}, {free} of {total} free ({gpu.uuid})")


def _directories(home: Home, settings: Settings) -> Iterator[Finding]:
    for subject, directory in (("home", home.root), ("logs", home.logs(settings))):
        nearest = _nearest_existing(directory)
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            text = "is writable" if nearest == directory else "can be created"
            yield Finding("ok", subject, f"{directory} {text}")
        else:
            yield Finding(
                "fail",
                subject,
                f"{directory} cannot be written ({nearest})",
                "choose another home with --home, or change its owner",
            )


def _disks(home: Home, settings: Settings) -> Iterator[Finding]:
    places = {home.root, home.logs(settings)}
    devices = {(near := _nearest_existing(place)).stat().st_dev: near for place in sorted(places)}
    for place in devices.values():
        free = shutil.disk_usage(place).free
        level: Level = "ok"
        if free < _FREE_WARN_BYTES:
            level = "fail" if free < _FREE_FAIL_BYTES else "warn"
        advice = "" if level == "ok" else "make room, or move home to another disk with --home"
        yield Finding(level, "disk", f"{decimal(free)} free at {place}", advice)


def _models(home: Home, settings: Settings) -> Finding:
    directory = home.models(settings)
    if not directory.is_dir():
        if directory.is_relative_to(home.root):
            return Finding("ok", "models", f"{directory} is made by the first `llama-proxy up`")
        return Finding(
            "fail", "models", f"{directory} does not exist", "create it, or set llama.modelsDir"
        )
    if not os.access(directory, os.R_OK | os.X_OK):
        return Finding("fail", "models", f"{directory} cannot be read", "change its permissions")
    files = sum(1 for _ in directory.rglob("*.gguf"))
    if files == 0:
        return Finding(
            "warn",
            "models",
            f"no .gguf file in {directory}",
            "put models there, or set llama.modelsDir to where they are",
        )
    plural = "" if files == 1 else "s"
    return Finding("ok", "models", f"{files} .gguf file{plural} in {directory}")


def _nearest_existing(path: Path) -> Path:
    """The path itself or the closest directory above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
