from __future__ import annotations

from pathlib import Path

import pytest

from common.home import Home
from common.settings import Llama, Presets, Settings
from common.settings_source import load
from deploy.first_start import (
    models_hint,
    shipped_presets,
    write_config,
    write_demo,
    write_presets,
)


@pytest.fixture
def home(short_path: Path) -> Home:
    made = Home(short_path)
    made.prepare(Settings())
    return made


def test_the_written_file_is_found_and_sets_nothing(home: Home) -> None:
    write_config(home)
    assert "#maxModels = 4\n" in home.config_file.read_text()
    assert load(home.root, None, {}) == Settings()


def test_a_file_that_is_there_is_kept(home: Home) -> None:
    home.config_file.write_text("[server]\n")
    write_config(home)
    assert home.config_file.read_text() == "[server]\n"


def test_the_demo_model_is_written_where_there_is_none(home: Home) -> None:
    write_demo(home, Settings())
    assert "only babbles" in models_hint(home, Settings())
    (model,) = home.models(Settings()).iterdir()
    assert model.read_bytes().startswith(b"GGUF")


def test_the_shipped_presets_are_copied_where_there_is_no_directory(home: Home) -> None:
    write_presets(home, Settings())
    presets = home.presets(Settings())
    names = {"default.ini", "long-context.ini", "low-memory.ini"}
    assert {path.name for path in presets.iterdir()} == names
    for name in names:
        assert (presets / name).read_bytes() == (shipped_presets() / name).read_bytes()
    assert not [path for path in home.root.iterdir() if path.name.startswith(".presets")]


def test_a_directory_of_presets_is_kept_as_it_is(home: Home) -> None:
    presets = home.presets(Settings())
    presets.mkdir()
    write_presets(home, Settings())
    assert list(presets.iterdir()) == []


def test_a_place_that_takes_no_presets_gets_none(home: Home) -> None:
    settings = Settings(presets=Presets(path="/proc/self/net/stat/presets"))
    write_presets(home, settings)
    assert not home.presets(settings).exists()


def test_no_demo_is_added_to_models_of_any_depth(home: Home) -> None:
    models = home.models(Settings())
    (models / "deep" / "deeper").mkdir(parents=True)
    (models / "deep" / "deeper" / "mine.gguf").touch()
    write_demo(home, Settings())
    assert [path.name for path in models.rglob("*.gguf")] == ["mine.gguf"]
    assert models_hint(home, Settings()) == ""


def test_a_directory_that_takes_no_files_gets_no_demo(home: Home) -> None:
    # Nobody may write there, not even root.
    settings = Settings(llama=Llama(models_dir="/proc/self/net/stat"))
    write_demo(home, settings)
    assert "it is empty" in models_hint(home, settings)
