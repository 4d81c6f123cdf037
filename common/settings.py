"""The typed settings: one frozen object, read once by a main and passed down.

camelCase in `config.toml`, snake_case here. Ranges and descriptions sit on the fields, so that the
same objects check a file, explain a mistake and describe themselves as JSON Schema. Where values
come from is `common.settings_source`; what belongs to several keys at once is checked by
`common.settings_contradictions`.
"""

from __future__ import annotations

import socket
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535)]
# An IPv6 address may end with its zone: fe80::1%eth0.
Address = Annotated[str, Meta(min_length=1, pattern=r"^[A-Za-z0-9.:_%-]+$", max_length=253)]
# As browsers send it: without a path, not even a closing slash.
Origin = Annotated[
    str, Meta(pattern=r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$")
]
HostName = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)$", max_length=253)]
# `unit` and `format` are for those who read these types as JSON Schema; JSON Schema knows `format`.
UNIT = "unit"
FORMAT = "format"
SECONDS = {UNIT: "seconds"}
BYTES = {UNIT: "bytes"}
PATH = {FORMAT: "path"}
# A day is the bound for every duration: beyond it a value is a slip of the keyboard.
Seconds = Annotated[float, Meta(ge=0, le=86_400, extra_json_schema=SECONDS)]
# Where zero would make no sense (a limit that has passed before it begins).
PositiveSeconds = Annotated[float, Meta(ge=0.1, le=86_400, extra_json_schema=SECONDS)]
Concurrency = Annotated[int, Meta(ge=0, le=100_000)]
# No blank at either end, where nobody would see it.
Alias = Annotated[str, Meta(pattern=r"^\S(.*\S)?$", max_length=200)]

OTHER_PROGRAMS = frozenset({"backplane", "controller", "gateway", "logs", "metrics", "proxy"})
"""What the processes that are no runners are called; several proxies: see `Proxy.names`."""


class Section(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Base of every `[table]` of the file; unknown keys are refused."""


class Server(Section, frozen=True):
    """`[server]`: the gateway."""

    host: Annotated[
        Address,
        Meta(description="Address where the Socket.IO API listens; off loopback: tokens only."),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port of the Socket.IO API.")] = 3000
    allowed_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="Web pages, besides our own, that may use the Socket.IO API."),
    ] = ()
    allowed_hosts: Annotated[
        tuple[HostName, ...],
        Meta(description="Names under which the Socket.IO API is asked, besides its own."),
    ] = ()


class Llama(Section, frozen=True):
    """`[llama]`: the engine, the models and the OpenAI-compatible proxy."""

    server_path: Annotated[
        str,
        Meta(
            description="Your own llama-server. Empty: the one on PATH, else the embedded engine.",
            extra_json_schema=PATH,
        ),
    ] = ""
    allowed_server_dirs: Annotated[
        tuple[Annotated[str, Meta(extra_json_schema=PATH)], ...],
        Meta(
            description="Directories below which the API may set serverPath; the file may name any."
        ),
    ] = ("/usr/bin", "/usr/local/bin", "/opt")
    models_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory with .gguf files, searched with its subdirectories.",
            extra_json_schema=PATH,
        ),
    ] = "models"
    host: Annotated[
        Address,
        Meta(description="Address where the OpenAI proxy listens; off loopback: tokens only."),
    ] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port of the OpenAI proxy.")] = 8080
    allowed_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="Web pages, besides the gateway's own, that may use the OpenAI proxy."),
    ] = ()
    allowed_hosts: Annotated[
        tuple[HostName, ...],
        Meta(description="Names under which the OpenAI proxy is asked, besides its own."),
    ] = ()
    max_models: Annotated[
        int, Meta(ge=1, le=1000, description="How many models may be loaded at the same time.")
    ] = 4
    queue_timeout: Annotated[
        Seconds,
        Meta(
            description="Seconds that a request waits for its model, and a load for room while all"
            " loaded models are busy."
        ),
    ] = 300.0
    max_queue: Annotated[
        int,
        Meta(ge=1, le=100_000, description="How many requests may wait for one model."),
    ] = 256
    max_concurrent: Annotated[
        Concurrency,
        Meta(description="How many requests a model serves at a time; 0: four for each slot."),
    ] = 0
    ttl_seconds: Annotated[
        Seconds,
        Meta(description="Seconds without use after which a model is unloaded; 0: never."),
    ] = 0.0
    load_timeout_seconds: Annotated[
        PositiveSeconds,
        Meta(description="Seconds after which a model that is still loading is given up."),
    ] = 600.0
    drain_timeout_seconds: Annotated[
        Seconds,
        Meta(description="Seconds that requests in flight may take to end before a stop."),
    ] = 30.0
    preload: Annotated[
        tuple[str, ...], Meta(description="Ids of the models to load at every start.")
    ] = ()
    flags: Annotated[
        dict[str, str],
        Meta(description="llama-server flags for every model, named without leading dashes."),
    ] = {}
    max_body_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            le=4 << 30,
            description="Largest request body the proxy accepts, in bytes.",
            extra_json_schema=BYTES,
        ),
    ] = 64 << 20


class Proxy(Section, frozen=True):
    """`[proxy]`: the processes behind the OpenAI-compatible proxy's port."""

    processes: Annotated[
        int, Meta(ge=1, le=64, description="How many processes share the port of the OpenAI proxy.")
    ] = 1

    def names(self) -> tuple[str, ...]:
        """What they are called: `proxy`, or `proxy-0`, `proxy-1` … where there are several."""
        if self.processes == 1:
            return ("proxy",)
        return tuple(f"proxy-{number}" for number in range(self.processes))


class Presets(Section, frozen=True):
    """`[presets]`: engine flags by name."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory of the presets: llama.cpp's INI files.",
            extra_json_schema=PATH,
        ),
    ] = "presets"


class Logging(Section, frozen=True):
    """`[logging]`: what our own processes write."""

    level: Annotated[
        Literal["debug", "info", "warn", "error"],
        Meta(description="The least severe records that are kept."),
    ] = "info"
    path: Annotated[
        str,
        Meta(min_length=1, description="Directory of the log files.", extra_json_schema=PATH),
    ] = "./logs"


class Runner(Section, frozen=True):
    """`[runner]`: how runners treat their engines."""

    engine_host: Annotated[
        Address, Meta(description="Address where engines listen for the proxy.")
    ] = "127.0.0.1"
    stop_grace_seconds: Annotated[
        Seconds,
        Meta(description="Seconds between asking an engine to stop and killing it."),
    ] = 5.0


class Metrics(Section, frozen=True):
    """`[metrics]`: sampling."""

    interval_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3600,
            description="Seconds from one sample to the next.",
            extra_json_schema=SECONDS,
        ),
    ] = 1.0


class Host(Section, frozen=True):
    """`[host]`: this machine."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._-]*$",
            max_length=63,
            description="Name of this machine in process names. Empty: its host name.",
        ),
    ] = ""

    def resolved_name(self) -> str:
        """The configured name, else the machine's own host name."""
        return self.name or socket.gethostname()


class Backplane(Section, frozen=True):
    """`[backplane]`: more hosts than one. Addresses are `tcp://HOST:PORT`."""

    listen: Annotated[
        str,
        Meta(
            max_length=300,
            description="Address where other hosts join this one: its port and the two after it.",
        ),
    ] = ""
    join: Annotated[
        str,
        Meta(
            max_length=300,
            description="Address of the main host; this one then has only runners and metrics.",
        ),
    ] = ""
    keys_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory of the keys that hosts know each other by.",
            extra_json_schema=PATH,
        ),
    ] = "keys"


class NamedRunner(Section, frozen=True):
    """`[[runners]]`: one runner, instead of those that are made for each GPU."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=63,
            description="Its name, as processes are called.",
        ),
    ]
    devices: Annotated[
        tuple[str, ...],
        Meta(description="UUIDs of its NVIDIA GPUs; a model may span them all. Empty: see env."),
    ] = ()
    env: Annotated[
        dict[str, str],
        Meta(description="Environment of its engines, HIP_VISIBLE_DEVICES for example."),
    ] = {}


class ModelSettings(Section, frozen=True, omit_defaults=True):
    """`[models."<id>"]`: one model. What is null here, `[llama]` says for all."""

    aliases: Annotated[
        tuple[Alias, ...], Meta(description="Other names that it can be asked for by.")
    ] = ()
    ttl_seconds: Annotated[
        Seconds | None,
        Meta(description="Seconds without use after which it is unloaded; 0: never."),
    ] = None
    max_concurrent: Annotated[
        Concurrency | None,
        Meta(description="How many requests it serves at a time; 0: four for each slot."),
    ] = None
    strip_params: Annotated[
        tuple[str, ...], Meta(description="Parameters that are taken out of requests for it.")
    ] = ()
    set_params: Annotated[
        dict[str, Any],
        Meta(description="Parameters that requests for it get, whatever their callers say."),
    ] = {}


class Settings(Section, frozen=True):
    """The whole of `config.toml`. Relative paths in it are relative to home (`common.home`)."""

    server: Server = Server()
    llama: Llama = Llama()
    proxy: Proxy = Proxy()
    presets: Presets = Presets()
    logging: Logging = Logging()
    runner: Runner = Runner()
    metrics: Metrics = Metrics()
    host: Host = Host()
    backplane: Backplane = Backplane()
    runners: Annotated[
        tuple[NamedRunner, ...],
        Meta(
            description="The runners of this host. Empty: one for each GPU, else one for the CPU."
        ),
    ] = ()
    models: Annotated[
        dict[str, ModelSettings],
        Meta(description="Names, limits and parameters of single models, by id."),
    ] = {}

    def runner_named(self, name: str) -> NamedRunner | None:
        """The entry of `[[runners]]` with this name."""
        return next((runner for runner in self.runners if runner.name == name), None)
