"""The supervisord configuration of a stack, as text.

supervisord's files are INI with rules of their own (configuration.html of its manual): `%` starts
an expansion, whitespace before `;` or `#` starts a comment that nothing can escape, commands are
split like a shell's, and environment values stand in either kind of quotes without escapes.
"""

from __future__ import annotations

import getpass
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from common import environment
from common.errors import ConfigInvalid
from deploy.stack import Program, Stack

CODE_ROOT = Path(__file__).resolve().parent.parent
"""Holds our packages: the checkout or site-packages. Programs run there, so that `-m` finds our
modules and nothing of the same name in the directory where `up` was typed."""

_LOG_BYTES = 10 << 20
_LOG_BACKUPS = 3


def render_full(stack: Stack) -> str:
    """The whole file, for a supervisord that belongs to this home alone."""
    home = stack.home
    return "\n".join(
        (
            "; Written by llama-proxy up at every start; changes made here are lost.",
            _section(
                "supervisord",
                {
                    "nodaemon": "true",
                    "silent": "true",
                    "logfile": _plain(stack.log_file("supervisord")),
                    "logfile_maxbytes": str(_LOG_BYTES),
                    "logfile_backups": str(_LOG_BACKUPS),
                    "pidfile": _plain(home.supervisord_pid_file),
                    "nocleanup": "true",
                },
            ),
            _section(
                "unix_http_server", {"file": _plain(home.supervisord_socket), "chmod": "0700"}
            ),
            _section(
                "rpcinterface:supervisor",
                {
                    "supervisor.rpcinterface_factory": (
                        "supervisor.rpcinterface:make_main_rpcinterface"
                    )
                },
            ),
            _section("supervisorctl", {"serverurl": f"unix://{_plain(home.supervisord_socket)}"}),
            render_programs(stack),
        )
    )


def render_programs(stack: Stack) -> str:
    """The [program:…] sections alone."""
    return "\n".join(_program(stack, program, {}) for program in stack.programs)


def render_own(stack: Stack) -> str:
    """The sections for a host that runs a supervisord of its own, often as root: the programs run
    as the current user there, too."""
    user = {"user": getpass.getuser()}
    return "\n".join(_program(stack, program, user) for program in stack.programs)


def _program(stack: Stack, program: Program, more: Mapping[str, str]) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": _command(stack, program),
            "directory": _plain(CODE_ROOT),
            "environment": _environment({environment.HOME: str(stack.home.root)}),
            "priority": str(program.priority),
            # Retried for ever: pauses grow by a second per attempt, and supervisord's FATAL, from
            # which nothing returns, is never reached.
            "startsecs": "1",
            "startretries": "1000000",
            "autorestart": "true",
            "stopsignal": "TERM",
            "stopwaitsecs": str(program.stop_wait_s),
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _expanded_twice(stack.log_file(program.name)),
            "stdout_logfile_maxbytes": str(_LOG_BYTES),
            "stdout_logfile_backups": str(_LOG_BACKUPS),
            **more,
        },
    )


def _command(stack: Stack, program: Program) -> str:
    words = [sys.executable, "-m", program.module, "--home", str(stack.home.root)]
    if stack.config is not None:
        words += ["--config", str(stack.config)]
    words += ["--name", program.name, *program.arguments]
    return _plain(shlex.join(words))


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_quoted(value)}" for name, value in variables.items())


def _quoted(value: str) -> str:
    for quote in ('"', "'"):
        if quote not in value and value.strip("\"'") == value:
            return f"{quote}{_plain(value)}{quote}"
    raise ConfigInvalid(
        f"{value!r}: supervisord cannot hold a path with both kinds of quotes or with one at its"
        " end; choose another home with --home"
    )


def _plain(value: str | Path) -> str:
    text = str(value)
    if re.search(r"[\x00-\x1f\x7f]|\s[;#]|\s$", text):
        raise ConfigInvalid(
            f"{text!r}: supervisord cannot hold a path with control characters, with a space before"
            " ; or #, or with a space at its end; choose another home with --home"
        )
    return text.replace("%", "%%")


def _expanded_twice(path: Path) -> str:
    """For `stdout_logfile`, whose value supervisord expands, and then expands again."""
    return _plain(path).replace("%%", "%%%%")


def _section(name: str, options: Mapping[str, str]) -> str:
    return "".join((f"[{name}]\n", *(f"{key}={value}\n" for key, value in options.items())))
