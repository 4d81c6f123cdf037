"""The lock files pin everything that is installed, by hash, and name no place to fetch it from."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOT

DEVELOPMENT_HEADING = "# Development"


@dataclass(frozen=True)
class Pin:
    """One entry of requirements.lock: what is installed, where, and its permitted files."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "=="
        return specifier.version

    def applies_to(self, python_version: str) -> bool:
        marker: Marker | None = self.requirement.marker
        environment = {
            "python_version": python_version,
            "python_full_version": f"{python_version}.0",
            "sys_platform": "linux",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        return marker is None or marker.evaluate(environment)


def parse(lock: str) -> list[Pin]:
    """The entries of a pip requirements file with hashes; anything but those fails the test."""
    entries = lock.replace("\\\n", " ").splitlines()
    lines = [line for line in entries if line.strip() and not line.lstrip().startswith("#")]
    pins = []
    for line in lines:
        requirement, *hashes = line.split(" --hash=")
        pins.append(Pin(Requirement(requirement), tuple(each.strip() for each in hashes)))
    return pins


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_requirement_is_pinned_by_hash(lock: str) -> None:
    pins = parse(lock)
    assert pins
    assert [pin.name for pin in pins if not pin.version or not pin.hashes] == []
    assert {each.split(":")[0] for pin in pins for each in pin.hashes} == {"sha256"}


def test_no_line_says_where_to_fetch_from(lock: str) -> None:
    lines = lock.splitlines()
    assert [line for line in lines if "://" in line] == []
    assert [line for line in lines if line.startswith("-")] == []


def test_the_two_parts_share_nothing(lock: str) -> None:
    runtime, heading, development = lock.partition(DEVELOPMENT_HEADING)
    development = heading + development
    assert parse(development)
    assert not {pin.name for pin in parse(runtime)} & {pin.name for pin in parse(development)}


@pytest.mark.parametrize("python_version", ["3.11", "3.12", "3.13"])
def test_the_lock_fits_pyproject(lock: str, project: dict[str, Any], python_version: str) -> None:
    runtime, _, _ = lock.partition(DEVELOPMENT_HEADING)
    needed_to_run = project["project"]["dependencies"] + project["build-system"]["requires"]

    assert _unmet(needed_to_run, runtime, python_version) == []
    assert _unmet(project["dependency-groups"]["dev"], lock, python_version) == []


def test_npm_packages_are_pinned_by_hash_and_name_no_place() -> None:
    lock = json.loads((ROOT / "tests/js/package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert "node_modules/socket.io-client" in packages
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []


def _unmet(requirements: list[str], lock: str, python_version: str) -> list[str]:
    """Those requirements for which the lock has no fitting version on this Python."""
    versions = {pin.name: pin.version for pin in parse(lock) if pin.applies_to(python_version)}
    wanted = [Requirement(each) for each in requirements]
    return [
        str(each)
        for each in wanted
        if not each.specifier.contains(
            versions.get(canonicalize_name(each.name), "0"), prereleases=True
        )
    ]
