"""A stack as the API page takes it for granted: its model is there, its settings are in the file.

Unlike the stack of most system tests it is set up by `config.toml` alone, since what an environment
variable sets cannot be changed by `config:update`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.stack import Stack, engine_under_test, start_up, stop, wait_until_up
from tests.support.tiny_gguf import write_garbage, write_llama

MODEL = "qwen-7b"
BROKEN_MODEL = "zz-broken"

_CONFIG = """\
[server]
port = {gateway_port}

[llama]
port = {proxy_port}
flags = {{ threads = "1" }}
"""


@contextmanager
def page_stack(directory: Path) -> Iterator[Stack]:
    """A stack with two models that load and one whose file is faulty."""
    home = directory / "home"
    models = home / "models"
    models.mkdir(parents=True)
    write_llama(models / f"{MODEL}.gguf", name=MODEL)
    write_llama(models / "tiny.gguf")
    write_garbage(models / f"{BROKEN_MODEL}.gguf")
    gateway_port, proxy_port = free_ports(2)
    config = _CONFIG.format(gateway_port=gateway_port, proxy_port=proxy_port)
    (home / "config.toml").write_text(config)
    environment = engine_under_test()
    stack = Stack(home, gateway_port, proxy_port, start_up(home, environment), environment)
    try:
        wait_until_up(stack)
        yield stack
    finally:
        stop(stack)
