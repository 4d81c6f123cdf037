"""What the `llama-proxy` command takes: its commands, verbs and options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from deploy import commands

_EXIT_CODES = """\
exit codes: 0 done; 1 failed; 2 wrong usage; 3 no stack answers; 130 interrupted
settings:   config.toml in home, or --config; LLAMA_PROXY_<SECTION>__<KEY> wins over it
"""

ROLES = ("inference", "viewer", "operator", "admin")
"""As `common.api.base.Role` has them."""

Command = Callable[[argparse.Namespace], int]


def parser() -> argparse.ArgumentParser:
    """The whole command line; `command` of what it parses is the function to call."""
    whole = argparse.ArgumentParser(
        prog="llama-proxy",
        description="Run llama.cpp model servers behind one Socket.IO API and one OpenAI proxy.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = _where(default=None)
    names = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command) -> argparse.ArgumentParser:
        return _add(names, name, command, where)

    def add_client(name: str, command: Command) -> argparse.ArgumentParser:
        added = add(name, command)
        added.add_argument("--token", metavar="TOKEN", help="be its bearer (or LLAMA_PROXY_TOKEN)")
        return added

    up = add("up", commands.up)
    up.add_argument("--quiet", action="store_true", help="do not say where things are")
    up.add_argument(
        "--join",
        metavar="ADDRESS",
        help="start only runners and metrics, for the main host at tcp://HOST:PORT",
    )
    add("down", commands.down)
    for name, command in (
        ("status", commands.status),
        ("models", commands.models),
        ("presets", commands.presets),
    ):
        shown = add_client(name, command)
        shown.add_argument("--json", action="store_true", help="as the API says")
    load = add_client("load", commands.load)
    load.add_argument("id", metavar="ID")
    load.add_argument("--preset", metavar="NAME", help="with this one, just this time")
    load.add_argument("--runner", metavar="NAME", help="on this one")
    load.add_argument(
        "--ttl", type=float, metavar="SECONDS", help="unload it when not used for so long; 0: never"
    )
    add_client("unload", commands.unload).add_argument("id", metavar="ID")
    chat = add_client("chat", commands.chat)
    chat.add_argument("id", metavar="ID")
    chat.add_argument("prompt", metavar="PROMPT", nargs="?", help="else what is piped in")
    chat.add_argument("--max-tokens", type=_positive, metavar="N", help="end an answer after N")
    add("doctor", commands.doctor)
    render = add("render", commands.render)
    form = render.add_mutually_exclusive_group()
    form.add_argument("--full", action="store_true", help="print the whole configuration")
    form.add_argument("--systemd", action="store_true", help="print a systemd unit that runs `up`")
    _add_keys(add("keys", commands.keys_show))
    add_client("restart", commands.restart).add_argument(
        "process", metavar="PROCESS", help="as `llama-proxy status` names it"
    )
    _add_config(add_client("config", commands.config_get))
    _add_tokens(add("token", commands.token_list))
    return whole


def _where(default: str | None) -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False, argument_default=default)
    where.add_argument("--home", type=Path, metavar="DIR", help="directory of all that is written")
    where.add_argument("--config", type=Path, metavar="FILE", help="settings instead of home's own")
    return where


def _verbs(command: argparse.ArgumentParser) -> Callable[[str, Command], argparse.ArgumentParser]:
    """What adds a verb to a command: its name, and what it does."""
    verbs = command.add_subparsers(title="more", metavar="VERB")
    # A verb's own default would replace what stands before the verb.
    where = _where(default=argparse.SUPPRESS)
    return lambda name, function: _add(verbs, name, function, where)


def _add(
    names: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Command,
    where: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """A command or a verb, which its function's docstring describes."""
    doc = (command.__doc__ or "").rstrip(".")
    text = doc[:1].lower() + doc[1:]
    added = names.add_parser(name, parents=[where], help=text, description=text)
    added.set_defaults(command=command)
    return added


def _add_keys(keys: argparse.ArgumentParser) -> None:
    add = _verbs(keys)
    allow = add("allow", commands.keys_allow)
    allow.add_argument("host", metavar="HOST", help="its name (host.name)")
    allow.add_argument("key", metavar="KEY", help="what `llama-proxy keys` shows there")
    forget = add("forget", commands.keys_forget)
    forget.add_argument("host", metavar="HOST")
    trust = add("trust", commands.keys_trust)
    trust.add_argument("key", metavar="KEY", help="what `llama-proxy keys` shows there")


def _add_config(configuration: argparse.ArgumentParser) -> None:
    configuration.set_defaults(key=None)
    add = _verbs(configuration)
    get = add("get", commands.config_get)
    get.add_argument("--token", metavar="TOKEN", default=argparse.SUPPRESS)
    get.add_argument("key", metavar="KEY", nargs="?", help="llama.maxModels, say")
    for name, command in (
        ("set", commands.config_set),
        ("validate", commands.config_validate),
    ):
        verb = add(name, command)
        verb.add_argument("--token", metavar="TOKEN", default=argparse.SUPPRESS)
        verb.add_argument("key", metavar="KEY")
        verb.add_argument("value", metavar="VALUE", help="lists and tables as JSON; or: default")


def _add_tokens(token: argparse.ArgumentParser) -> None:
    token.set_defaults(json=False)
    add = _verbs(token)
    create = add("create", commands.token_create)
    create.add_argument("--name", required=True, help="whose it is, or what for")
    create.add_argument("--role", required=True, choices=ROLES)
    shown = add("list", commands.token_list)
    shown.add_argument("--json", action="store_true", help="as the API says")
    revoke = add("revoke", commands.token_revoke)
    revoke.add_argument(
        "which", metavar="ID", help="or its name, as `llama-proxy token list` shows"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
