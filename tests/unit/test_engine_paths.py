from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.engine_flags.paths import check_path, paths_in
from common.engine_flags.places import path_rule
from common.home import Home
from common.settings import Llama, Settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    root = tmp_path / "models"
    (root / "lora").mkdir(parents=True)
    (root / "lora" / "a.gguf").touch()
    (root / "inner").symlink_to(root / "lora")
    (root / "away").symlink_to(tmp_path / "outside")
    (root / "link.gguf").symlink_to(tmp_path / "outside" / "secret")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.mark.parametrize(
    "path", ["lora/a.gguf", "inner/a.gguf", "lora/../lora/a.gguf", "later.gguf"]
)
def test_what_lies_below_a_root_is_allowed(root: Path, path: str) -> None:
    assert check_path(f"{root}/{path}", [Path("/nowhere"), root]) is None


@pytest.mark.parametrize(
    "path",
    ["../outside/secret", "away/secret", "away/../../x", "link.gguf", "away", "..", "lora/../.."],
)
def test_what_leads_outside_is_refused(root: Path, path: str) -> None:
    assert "does not lie below" in (check_path(f"{root}/{path}", [root]) or "")


@pytest.mark.parametrize("path", ["", "a.gguf", "./a.gguf", "~/a.gguf", "file:///a", "a\0b"])
def test_what_is_no_absolute_path_is_refused(root: Path, path: str) -> None:
    assert check_path(path, [root, Path.cwd(), Path("/")]) is not None


def test_a_name_that_begins_like_a_root_is_not_below_it(root: Path) -> None:
    (root.parent / "models2").mkdir()
    assert check_path(f"{root}2/a", [root]) is not None


def test_the_root_may_be_a_link_itself(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert check_path(f"{link}/lora/a.gguf", [root]) is None
    assert check_path(f"{root}/lora/a.gguf", [link]) is None


def test_a_private_place_is_refused_however_it_is_reached(root: Path) -> None:
    private = [root / "lora"]
    assert check_path(f"{root}/lora/a.gguf", [root], private) is not None
    assert check_path(f"{root}/inner/a.gguf", [root], private) is not None
    assert check_path(f"{root}/lora.gguf", [root], private) is None


def test_without_roots_nothing_is_allowed() -> None:
    assert check_path("/", []) is not None


def test_links_that_lead_nowhere_are_no_crash(root: Path) -> None:
    check_path(f"{root}/loop/a", [root])
    assert check_path("/" + "a" * 5000, [root]) is not None


@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    assert check_path(text, [Path("/nonexistent/root")]) is not None


@pytest.mark.parametrize(
    ("flag", "value", "paths"),
    [
        ("mmproj", "/a,b", ("/a,b",)),
        ("lora", "/a", ("/a",)),
        ("lora", "/a,/b", ("/a", "/b")),
        ("lora", '"/a,/b"', None),
        ("lora", "/a,", None),
        ("lora-scaled", "/a:0.5,/b:-1", ("/a", "/b")),
        ("lora-scaled", "/a", None),
        ("lora-scaled", "/a:/etc/x", None),
        ("lora-scaled", "/a:1:2", None),
        ("control-vector-scaled", "/a:1e-3", ("/a",)),
        ("control-vector-scaled", "/a:nan", None),
    ],
)
def test_lists_are_taken_apart_as_llama_cpp_does(
    flag: str, value: str, paths: tuple[str, ...] | None
) -> None:
    assert paths_in(flag, value) == paths


def test_engines_read_below_models_and_home_but_not_our_own_files(tmp_path: Path) -> None:
    home = Home((tmp_path / "home").resolve())
    models = tmp_path / "models"
    settings = Settings(llama=Llama(models_dir=str(models)))
    refuse = path_rule(home, settings)
    for allowed in (models / "a.gguf", models / "x/a.gguf", home.root / "templates/a.jinja"):
        assert refuse(str(allowed)) is None
    own = (home.config_file, home.tokens_file, home.desired_file, home.supervisord_conf)
    inside = (home.engines, home.cache, home.keys(settings), home.logs(settings), home.run)
    for refused in (*own, *(directory / "x" for directory in inside), tmp_path / "else"):
        assert refuse(str(refused)) is not None
    assert refuse(f"{home.root}/templates/../config.toml") is not None
