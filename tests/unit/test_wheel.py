"""The wheel holds our four packages, whole, the built dashboard, and nothing else."""

from __future__ import annotations

import configparser
import importlib
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.repository import PACKAGES, repository_files
from tests.support.wheel import build_wheel

DASHBOARD = Path("gateway/dashboard")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_only_our_packages_are_in_it(wheel: Path) -> None:
    tops = {path.parts[0] for path in _contents(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_every_file_of_our_packages_is_in_it(wheel: Path) -> None:
    sources = {
        path
        for path in repository_files()
        if path.parts[0] in PACKAGES and DASHBOARD not in path.parents
    }
    presets = {Path("deploy") / path for path in repository_files() if path.parts[0] == "presets"}
    packaged = {
        path
        for path in _contents(wheel)
        if path.parts[0] in PACKAGES and DASHBOARD not in path.parents
    }
    assert packaged == sources | presets
    assert len(presets) == 3


def test_of_the_dashboard_it_holds_what_was_built(wheel: Path) -> None:
    packed = {path for path in _contents(wheel) if DASHBOARD in path.parents}
    assert {
        DASHBOARD / "dist" / name for name in ("index.html", "theme.js", "favicon.svg")
    } <= packed
    assert {path.suffix for path in packed if path.parent.name == "assets"} >= {".js", ".css"}
    assert all(path.is_relative_to(DASHBOARD / "dist") for path in packed)
    assert not any(path.name.startswith(".") for path in packed)


def test_the_example_configuration_and_the_licence_are_in_it(wheel: Path) -> None:
    contents = _contents(wheel)
    assert Path("deploy/config.example.toml") in contents
    assert any(path.parts[-2:] == ("licenses", "LICENSE") for path in contents)


def test_the_command_it_installs_exists(wheel: Path) -> None:
    (entry_points,) = (path for path in _contents(wheel) if path.name == "entry_points.txt")
    with ZipFile(wheel) as archive:
        text = archive.read(entry_points.as_posix()).decode()
    scripts = configparser.ConfigParser()
    scripts.read_string(text)

    module, _, function = scripts["console_scripts"]["llama-proxy"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def _contents(wheel: Path) -> set[Path]:
    with ZipFile(wheel) as archive:
        return {Path(name) for name in archive.namelist()}
