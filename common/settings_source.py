"""Where settings come from: defaults, then `config.toml`, then the environment; later wins.

`load` is called once by every main, `check` also for what is about to be written. All mistakes are
reported together, one line each: the file, the path of the key or the variable's name, what was
given, what is allowed, and the nearest key that exists where there is no such key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from common import environment
from common.errors import ConfigInvalid
from common.settings import Settings
from common.settings_contradictions import contradictions
from common.settings_keys import (
    KEYS,
    LISTS,
    SECTIONS,
    VARIABLES,
    Key,
    namesake,
    nearest,
    nearest_section,
    nearest_variable,
)
from common.settings_values import Misfit, from_text, misfit, misfits


class Problem(NamedTuple):
    """One mistake: `what` is a path or a variable, `where` the file (empty for a variable).

    `given` and `allowed` as in `settings_values.Misfit`.
    """

    what: str
    where: str
    text: str
    given: str = ""
    allowed: str = ""

    def line(self) -> str:
        """As one line of a message."""
        return ": ".join(part for part in (self.where, self.what, self.text) if part)


class _Given(NamedTuple):
    value: Any
    what: str
    where: str


@dataclass
class _Gathered:
    """Values by (section, key), a later source's over an earlier one's, and all mistakes so far.

    The section is empty as in `settings_keys.LISTS`.
    """

    values: dict[tuple[str, str], _Given] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def config_path(home: Path, given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: `given` (--config), else LLAMA_PROXY_CONFIG, else home's, if it exists."""
    if given is not None:
        return given
    if named := environ.get(environment.CONFIG):
        return Path(named)
    usual = home / "config.toml"
    return usual if usual.exists() else None


def load(home: Path, given: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a home; `given` is the file named by --config.

    Raises ConfigInvalid: its message has a line per mistake, `details.problems` the same as data.
    """
    path = config_path(home, given, environ)
    return check({} if path is None else _read_toml(path), str(path or ""), environ)


def check(tables: Mapping[str, Any], where: str, environ: Mapping[str, str]) -> Settings:
    """The settings that `tables` stand for, with the environment above them.

    `tables` are those of the file `where`. Raises ConfigInvalid, as `load` does.
    """
    gathered = _Gathered()
    _gather_tables(tables, where, gathered)
    _gather_environment(environ, gathered)
    if not gathered.problems:
        settings = _build(gathered.values)
        gathered.problems.extend(_contradicting(settings, gathered.values))
        if not gathered.problems:
            return settings
    raise refusal(gathered.problems)


def refusal(problems: Collection[Problem]) -> ConfigInvalid:
    """The error that tells of these mistakes, as text and as data."""
    return ConfigInvalid(
        "\n".join(problem.line() for problem in problems),
        {
            "problems": [
                {
                    "path": problem.what,
                    "file": problem.where,
                    "message": problem.text,
                    "given": problem.given,
                    "allowed": problem.allowed,
                }
                for problem in problems
            ]
        },
    )


def _gather_tables(tables: Mapping[str, Any], where: str, gathered: _Gathered) -> None:
    for section, table in tables.items():
        if section in LISTS:
            _gather_value(LISTS[section], table, where, gathered)
        elif section not in SECTIONS:
            text = _unknown("section", (*SECTIONS, *LISTS), _meant_at_top(section))
            gathered.problems.append(Problem(section, where, text))
        elif not isinstance(table, dict):
            wrong = misfit(section, table, f"a table, written [{section}]")
            gathered.problems.append(_problem(wrong, where))
        else:
            _gather_table(section, table, where, gathered)


def _problem(wrong: Misfit, where: str) -> Problem:
    return Problem(wrong.at, where, wrong.text, wrong.given, wrong.allowed)


def _meant_at_top(name: str) -> str | None:
    """A misspelt section, or a key that stands outside of its section."""
    if key := namesake(name):
        return key.path
    if section := nearest_section(name):
        return section
    key = nearest(name)
    return key.path if key else None


def _gather_table(section: str, table: Mapping[str, Any], where: str, gathered: _Gathered) -> None:
    for name, value in table.items():
        what = f"{section}.{name}"
        key = KEYS.get((section, name))
        if key is None:
            meant = nearest(what)
            names = [known.name for known in KEYS.values() if known.section == section]
            text = _unknown("key", names, meant.path if meant else None)
            gathered.problems.append(Problem(what, where, text))
        else:
            _gather_value(key, value, where, gathered)


def _gather_value(key: Key, value: Any, where: str, gathered: _Gathered) -> None:
    if wrong := list(misfits(value, key.type, key.path)):
        gathered.problems.extend(_problem(one, where) for one in wrong)
    else:
        gathered.values[key.section, key.name] = _Given(value, key.path, where)


def _gather_environment(environ: Mapping[str, str], gathered: _Gathered) -> None:
    for variable in sorted(environ):
        if not variable.startswith(environment.PREFIX) or variable in environment.RESERVED:
            continue
        key = VARIABLES.get(variable)
        if key is None:
            text = _unknown("variable", (), nearest_variable(variable))
            gathered.problems.append(Problem(variable, "", text))
            continue
        value, wrong = from_text(environ[variable], key)
        gathered.problems.extend(_problem(one, "") for one in wrong)
        if not wrong:
            gathered.values[key.section, key.name] = _Given(value, variable, "")


def _build(values: Mapping[tuple[str, str], _Given]) -> Settings:
    tables: dict[str, Any] = {}
    for (section, name), given in values.items():
        if section:
            tables.setdefault(section, {})[name] = given.value
        else:
            tables[name] = given.value
    return msgspec.convert(tables, Settings)


def _contradicting(
    settings: Settings, values: Mapping[tuple[str, str], _Given]
) -> Iterator[Problem]:
    for found in contradictions(settings):
        section, name, *rest = found.path
        if section in LISTS:
            section, name, rest = "", section, [name, *rest]
        source = values.get((section, name), _Given(None, f"{section}.{name}", ""))
        what = ".".join([source.what, *rest]).replace(".[", "[")
        yield _problem(misfit(what, found.given, found.allowed), source.where)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path}: this is not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}: this is not UTF-8 text: {error}") from error
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from error


def _unknown(kind: str, known: Iterable[str], meant: str | None) -> str:
    text = f"there is no such {kind}"
    if meant is not None:
        text += f"; did you mean {meant}?"
    listed = ", ".join(known)
    return f"{text} (known: {listed})" if listed else text
