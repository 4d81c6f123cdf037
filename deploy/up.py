"""`llama-proxy up`: check everything, put what is missing into home, and run the stack.

Whatever is wrong ends it here, before anything is started.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from common.devices import NVML
from common.exposure import check_guarded
from deploy.configured import configured_stack
from deploy.down import refuse_foreign
from deploy.failure import CommandFailed
from deploy.first_start import write_config, write_demo, write_presets
from deploy.foreground import serve
from deploy.leftovers import take_over
from deploy.lock import hold
from deploy.ports import PortUnusable, check_free, stack_ports
from deploy.stack import Stack


def up(home: Path | None, config: Path | None, quiet: bool) -> None:
    """Run the stack of this host until a signal. Raises ConfigInvalid and CommandFailed."""
    run(configured_stack(home, config, NVML.gpus()), quiet)


def run(stack: Stack, quiet: bool = False) -> None:
    """Run a stack until a signal; when it returns, nothing of its home is alive."""
    home = stack.home
    home.prepare(stack.settings)
    if stack.settings.backplane.listen or stack.settings.backplane.join:
        # Imported here, since it takes ZeroMQ along.
        from deploy.keys import check

        check(home, stack.settings)
    if not stack.settings.backplane.join:
        check_guarded(stack.settings, home, "server", "llama")
    with hold(home):
        refuse_foreign(home)
        take_over(home, stack.runner_names)
        for port in stack_ports(stack.settings):
            try:
                check_free(port)
            except PortUnusable as error:
                raise CommandFailed(str(error)) from error
        if stack.config is None:
            write_config(home)
        if not stack.settings.backplane.join:
            write_presets(home, stack.settings)
            write_demo(home, stack.settings)
        asyncio.run(serve(stack, quiet))
