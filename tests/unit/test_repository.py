"""What may be in the repository, and that its tools are told the same thing once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, ROOT, git_files, repository_files

BUILT_DIRECTORIES = {"node_modules", "dist", "build", ".venv", "var", "__pycache__", "vendor"}
BUILT_SUFFIXES = {".gguf", ".safetensors", ".bin", ".so", ".o", ".whl", ".pyc", ".db", ".log"}
LARGEST_BYTES = 1024 * 1024

# Each in two pieces, so that this file does not hold what it forbids.
REGISTRY_HOSTS = [
    first + second
    for first, second in [
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
        ("yarnpkg", ".com"),
        ("deb.debian", ".org"),
        ("archive.ubuntu", ".com"),
        ("ghcr", ".io"),
    ]
]


def test_nothing_is_tracked_that_git_should_ignore() -> None:
    assert git_files("--cached", "--ignored", "--exclude-standard") == []


def test_nothing_built_or_fetched_is_in_the_repository() -> None:
    found = [
        path
        for path in repository_files()
        if BUILT_DIRECTORIES.intersection(path.parts) or path.suffix in BUILT_SUFFIXES
    ]
    assert found == []


def test_no_file_is_large() -> None:
    found = [path for path in repository_files() if (ROOT / path).stat().st_size > LARGEST_BYTES]
    assert found == []


def test_no_file_names_a_package_registry() -> None:
    found = [
        (path, host)
        for path in repository_files()
        for host in REGISTRY_HOSTS
        if host.encode() in (ROOT / path).read_bytes()
    ]
    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_what_it_is_for(package: str) -> None:
    modules = [path for path in repository_files() if path.suffix == ".py"]
    directories = {ROOT / path.parent for path in modules if path.parts[0] == package}
    silent = [directory for directory in sorted(directories) if not _package_docstring(directory)]
    assert directories
    assert silent == []


def test_a_commit_runs_what_review_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")

    checks = re.search(r"^check: ([a-z -]+?) ##", makefile, re.MULTILINE)
    assert checks is not None
    assert re.findall(r"entry: make ([a-z-]+)", hooks) == checks.group(1).split()


def _package_docstring(directory: Path) -> str | None:
    init = directory / "__init__.py"
    if not init.is_file():
        return None
    return ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
