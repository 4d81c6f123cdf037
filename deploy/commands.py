"""What each command of `llama-proxy` does, given its options; returns its exit code.

What a command needs is imported when it runs, so that none waits for the libraries of another.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from deploy.failure import ExitCode

if TYPE_CHECKING:
    import argparse

    from common.api import base
    from common.home import Home
    from common.settings import Settings


def _configured(options: argparse.Namespace) -> tuple[Home, Settings]:
    from deploy.configured import configured_home

    return configured_home(options.home, options.config)


def _asked(
    options: argparse.Namespace, command: base.Command[base.Req, base.Rep], request: base.Req
) -> base.Rep:
    """What this host's gateway answers."""
    from deploy.client import ANSWER_S, local_client

    home, settings = _configured(options)
    with local_client(home, settings, options.token) as client:
        return client.call(command, request, ANSWER_S)


def up(options: argparse.Namespace) -> int:
    """Start everything and stay in the foreground until Ctrl-C."""
    from common.settings_keys import KEYS
    from deploy.up import up

    if options.join:
        # The processes of this stack read their settings themselves.
        os.environ[KEYS["backplane", "join"].variable] = options.join
    up(options.home, options.config, quiet=options.quiet)
    return ExitCode.OK


def down(options: argparse.Namespace) -> int:
    """Stop everything; nothing to stop is fine, too."""
    from common.home import find_home
    from deploy.down import down

    # Without the settings: what runs can be stopped even if its file was broken since.
    sys.stdout.write(f"{down(find_home(options.home, os.environ))}\n")
    return ExitCode.OK


def status(options: argparse.Namespace) -> int:
    """Processes and models."""
    from common.api import system
    from deploy import tables

    status = _asked(options, system.STATUS, system.GetStatus())
    if options.json:
        tables.print_json(status)
    else:
        console = tables.console()
        console.print(tables.process_table(status.processes))
        console.print()
        console.print(tables.model_table(status.models))
    return ExitCode.OK


def models(options: argparse.Namespace) -> int:
    """Models and whether they are loaded."""
    from common.api import models
    from deploy import tables

    found = _asked(options, models.LIST, models.ListModels())
    if options.json:
        tables.print_json(found)
    else:
        tables.console().print(tables.model_table(found.models))
    return ExitCode.OK


def presets(options: argparse.Namespace) -> int:
    """Presets and which models use them."""
    from common.api import presets
    from deploy import tables

    found = _asked(options, presets.LIST, presets.ListPresets())
    if options.json:
        tables.print_json(found)
    else:
        tables.console().print(tables.preset_table(found.presets))
    return ExitCode.OK


def load(options: argparse.Namespace) -> int:
    """Load a model and wait until it answers."""
    from common.api.models import LoadModel
    from deploy.load import load

    home, settings = _configured(options)
    request = LoadModel(
        id=options.id, ttl_seconds=options.ttl, preset=options.preset, runner=options.runner
    )
    sys.stdout.write(f"{load(home, settings, request, options.token)}\n")
    return ExitCode.OK


def unload(options: argparse.Namespace) -> int:
    """Unload a model."""
    from common.api import models
    from deploy.client import ANSWER_S, local_client

    home, settings = _configured(options)
    llama, runner = settings.llama, settings.runner
    timeout_s = llama.drain_timeout_seconds + runner.stop_grace_seconds + ANSWER_S
    with local_client(home, settings, options.token) as client:
        unloaded = client.call(models.UNLOAD, models.UnloadModel(id=options.id), timeout_s)
    sys.stdout.write(f"{unloaded.id} is unloaded\n")
    return ExitCode.OK


def chat(options: argparse.Namespace) -> int:
    """Talk to a model; it is loaded if need be."""
    from deploy.chat import chat

    _, settings = _configured(options)
    chat(settings, options.id, options.prompt, options.max_tokens, options.token)
    return ExitCode.OK


def doctor(options: argparse.Namespace) -> int:
    """Check engine, ports, GPUs and directories, and say what to do."""
    from deploy.doctor import doctor

    return doctor(*_configured(options))


def keys_show(options: argparse.Namespace) -> int:
    """Show this host's key, made now if there is none."""
    from deploy import keys

    for line in keys.show(*_configured(options)):
        sys.stdout.write(f"{line}\n")
    return ExitCode.OK


def keys_allow(options: argparse.Namespace) -> int:
    """On the main host: let another host join."""
    from deploy import keys

    sys.stdout.write(f"{keys.allow(*_configured(options), options.host, options.key)}\n")
    return ExitCode.OK


def keys_forget(options: argparse.Namespace) -> int:
    """On the main host: do not let another host join any more."""
    from deploy import keys

    sys.stdout.write(f"{keys.forget(*_configured(options), options.host)}\n")
    return ExitCode.OK


def keys_trust(options: argparse.Namespace) -> int:
    """On another host: this is the main host's key."""
    from deploy import keys

    sys.stdout.write(f"{keys.trust(*_configured(options), options.key)}\n")
    return ExitCode.OK


def restart(options: argparse.Namespace) -> int:
    """Start one of the processes anew."""
    from deploy import config
    from deploy.client import local_client

    with local_client(*_configured(options), options.token) as client:
        sys.stdout.write(f"{config.restart(client, options.process)}\n")
    return ExitCode.OK


def config_get(options: argparse.Namespace) -> int:
    """Show the configuration, or one value of it, as JSON."""
    from deploy import config
    from deploy.client import local_client

    with local_client(*_configured(options), options.token) as client:
        sys.stdout.write(f"{config.shown(client, options.key)}\n")
    return ExitCode.OK


def config_set(options: argparse.Namespace) -> int:
    """Change a value, also in config.toml."""
    from deploy import config
    from deploy.client import local_client

    with local_client(*_configured(options), options.token) as client:
        for line in config.change(client, options.key, options.value):
            sys.stdout.write(f"{line}\n")
    return ExitCode.OK


def config_validate(options: argparse.Namespace) -> int:
    """Say what `config set` would do."""
    from deploy import config
    from deploy.client import local_client

    with local_client(*_configured(options), options.token) as client:
        for line in config.check(client, options.key, options.value):
            sys.stdout.write(f"{line}\n")
    return ExitCode.OK


def token_create(options: argparse.Namespace) -> int:
    """Make a token and print it, this once."""
    from common.api.base import Role
    from deploy import token

    made = token.create(*_configured(options), options.name, Role(options.role))
    # Alone on standard output, for scripts.
    sys.stdout.write(f"{made.token}\n")
    sys.stdout.flush()
    sys.stderr.write(
        f"This is the token '{made.name}' ({made.role.value}, id {made.id}). It is shown only now:"
        " only its hash is kept.\n"
    )
    return ExitCode.OK


def token_list(options: argparse.Namespace) -> int:
    """Show the access tokens."""
    from deploy import tables, token

    found = token.listed(*_configured(options))
    if options.json:
        tables.print_json(found)
    else:
        tables.console().print(tables.token_table(found.tokens))
    return ExitCode.OK


def token_revoke(options: argparse.Namespace) -> int:
    """Make a token worthless; its clients are disconnected."""
    from deploy import token

    revoked = token.revoke(*_configured(options), options.which)
    sys.stdout.write(f"the token '{revoked.name}' is worthless now\n")
    return ExitCode.OK


def render(options: argparse.Namespace) -> int:
    """Print what a supervisord of your own, or systemd, needs."""
    from common.devices import NVML
    from deploy.configured import configured_stack
    from deploy.render import render_full, render_own
    from deploy.systemd_unit import render_unit

    stack = configured_stack(options.home, options.config, NVML.gpus())
    if options.systemd:
        sys.stdout.write(render_unit(stack.home, stack.config))
        return ExitCode.OK
    # A supervisord of somebody else opens the log files before our programs run.
    stack.home.prepare(stack.settings)
    sys.stdout.write(render_full(stack) if options.full else render_own(stack))
    return ExitCode.OK
