from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from common.api.base import Role
from common.home import Home
from common.settings import Llama, Logging, Server, Settings
from common.token_store import TokenStore
from deploy.doctor import Finding, Level, examine, verdict
from deploy.engine_check import check_engine
from deploy.failure import ExitCode
from tests.support.ports import free_ports


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def serving(path: Path | str) -> Settings:
    return Settings(llama=Llama(server_path=str(path)))


def of(findings: Sequence[Finding], subject: str) -> list[Finding]:
    return [finding for finding in findings if finding.subject == subject]


def level(findings: Sequence[Finding], subject: str) -> Level:
    (finding,) = of(findings, subject)
    return finding.level


def test_a_configured_engine_is_run_for_its_version(home: Home, tmp_path: Path) -> None:
    path = program(tmp_path / "llama-server", "echo noise; echo 'version: 6700 (abc)' >&2")
    report = check_engine(home, serving(path))
    assert report.version == "version: 6700 (abc)"
    assert report.problem is None


def test_a_relative_engine_is_relative_to_home(home: Home) -> None:
    home.root.mkdir()
    program(home.root / "mine", "echo version 1")
    assert check_engine(home, serving("mine")).version == "version 1"


def test_an_engine_on_path_is_found(home: Home, search_path: Path) -> None:
    program(search_path / "llama-server", "echo version 2")
    report = check_engine(home, Settings())
    assert report.what == f"{search_path}/llama-server (llama-server on PATH)"
    assert report.version == "version 2"


def test_without_any_the_embedded_engine_serves(home: Home, search_path: Path) -> None:
    assert list(search_path.iterdir()) == []
    report = check_engine(home, Settings())
    assert "embedded" in report.what
    assert report.problem is None
    assert report.version


def test_a_configured_engine_wins_over_the_one_on_path(home: Home, search_path: Path) -> None:
    program(search_path / "llama-server", "echo version 2")
    assert check_engine(home, serving("/no/such/file")).problem == "there is no such file"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exit 3", "it ended with code 3: it printed nothing"),
        ("echo 'libcuda.so.1: cannot open' >&2; exit 127", "code 127: libcuda.so.1: cannot open"),
        ("kill -ILL $$", "it was ended by SIGILL"),
    ],
)
def test_an_engine_that_does_not_run_says_why(
    home: Home, tmp_path: Path, text: str, problem: str
) -> None:
    report = check_engine(home, serving(program(tmp_path / "llama-server", text)))
    assert problem in (report.problem or "")
    assert report.advice


def test_what_is_not_executable_or_no_program_is_named(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "llama-server"
    path.write_text("text")
    assert check_engine(home, serving(path)).problem == "it is not executable"
    path.chmod(0o755)
    assert "cannot be run" in (check_engine(home, serving(path)).problem or "")
    assert check_engine(home, serving(tmp_path)).problem == "there is no such file"


def free_settings(models_dir: str = "models", logs: str = "logs") -> Settings:
    server_port, llama_port = free_ports(2)
    return Settings(
        server=Server(port=server_port),
        llama=Llama(port=llama_port, models_dir=models_dir),
        logging=Logging(path=logs),
    )


def test_a_fresh_home_is_fine_and_stays_untouched(home: Home) -> None:
    findings = list(examine(home, free_settings()))
    assert verdict(findings) == ExitCode.OK
    assert {f.subject for f in findings} == {
        "engine",
        "port",
        "access",
        "gpu",
        "home",
        "logs",
        "disk",
        "models",
    }
    assert all(finding.level == "ok" for finding in findings if finding.subject != "disk")
    assert not home.root.exists()


def test_a_taken_port_fails_and_names_its_holder(home: Home) -> None:
    settings = free_settings()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", settings.llama.port))
        listening.listen()
        findings = list(examine(home, settings))
    ports = of(findings, "port")
    assert [finding.level for finding in ports] == ["ok", "fail"]
    assert "is taken by pid" in ports[1].text
    assert verdict(findings) == ExitCode.FAILED


def test_who_has_access_is_said(home: Home) -> None:
    settings = free_settings()
    (found,) = of(list(examine(home, settings)), "access")
    assert (found.level, "everybody on this machine" in found.text) == ("ok", True)
    public = msgspec.structs.replace(
        settings, server=msgspec.structs.replace(settings.server, host="192.0.2.1")
    )
    (found,) = of(list(examine(home, public)), "access")
    assert (found.level, "llama-proxy token create" in found.text) == ("fail", True)
    home.root.mkdir()
    TokenStore(home.tokens_file).create("one", Role.ADMIN)
    (found,) = of(list(examine(home, public)), "access")
    assert (found.level, found.text) == (
        "ok",
        "with the only access token, and by whoever may open home",
    )


def test_a_missing_models_directory_elsewhere_fails(home: Home, tmp_path: Path) -> None:
    findings = list(examine(home, free_settings(models_dir=str(tmp_path / "not mounted"))))
    assert level(findings, "models") == "fail"
    assert not (tmp_path / "not mounted").exists()


def test_models_are_counted_and_none_is_worth_a_warning(home: Home, tmp_path: Path) -> None:
    models = tmp_path / "my models"
    (models / "deep").mkdir(parents=True)
    settings = free_settings(models_dir=str(models))
    findings = list(examine(home, settings))
    assert level(findings, "models") == "warn"
    assert verdict(findings) == ExitCode.OK
    (models / "deep" / "a.gguf").touch()
    (found,) = of(list(examine(home, settings)), "models")
    assert (found.level, found.text) == ("ok", f"1 .gguf file in {models}")


def test_a_log_directory_that_cannot_be_made_fails(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    findings = list(examine(home, free_settings(logs=str(tmp_path / "file" / "logs"))))
    assert level(findings, "logs") == "fail"
    assert level(findings, "home") == "ok"
