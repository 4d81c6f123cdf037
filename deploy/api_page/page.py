"""The page as text: by domain, each request and event with its fields and an example."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, NamedTuple

from common import errors
from common.api.base import Command, Event, Struct
from common.api.catalog import DOMAINS
from common.api.envelope import ErrorBody
from deploy.api_page.examples import command_examples, event_examples
from deploy.api_page.fields import given, nested, taken
from deploy.api_page.javascript import literal

_HEAD = """\
# API

Generated from `common/api` by `python -m deploy.api_page`; `make check` fails when it is stale.

## Connection

Any Socket.IO 4.x client connects, by websocket or polling, in one of three ways:

```javascript
io("http://localhost:3000/llamaproxws");
io("http://localhost:3000", { path: "/llamaproxws" });
io("http://localhost:3000/llamaproxws", { path: "/llamaproxws" });
```

Without access tokens, everybody who reaches the port (this machine only) may do everything. Once
there is one, every client shows a token as it connects, `io(url, { auth: { token } })`, and may do
what that token's role says. Each role includes those before it: `inference` (the OpenAI-compatible
proxy alone), `viewer`, `operator`, `admin`.

## Requests and replies

A request is an event with one object as payload and an acknowledgement. Fields without a default
must be there; unknown fields are refused. Every reply has `success`, an ISO-8601 `timestamp`, and
either `data` or `error` with `message`, `code` and often `details`:

```javascript
socket.emit("models:load", { id: "qwen-7b" }, (reply) => {
  if (reply.success) console.log(reply.data.status); // "loaded"
  else console.log(reply.error.code, reply.error.message);
});
```

Events go to every client, unless their text says otherwise, and carry their payload without an
envelope. Times are ISO-8601 in UTC with milliseconds, sizes are in bytes.
"""


class Domain(NamedTuple):
    """What clients see of one module of `common.api`."""

    title: str
    module: ModuleType
    commands: tuple[Command[Any, Any], ...]
    events: tuple[Event[Any], ...]

    def tops(self) -> list[type[Struct]]:
        """Requests, replies and payloads."""
        asked = [kind for command in self.commands for kind in (command.request, command.reply)]
        return asked + [event.payload for event in self.events]


def page() -> str:
    """The whole page. Raises `ExampleInvalid`."""
    domains = public_domains()
    tops = [kind for domain in domains for kind in domain.tops()]
    return "\n".join(
        (
            _HEAD,
            *_overview(domains),
            *(line for domain in domains for line in _domain(domain)),
            "## Error codes\n",
            "| code | when |",
            "|---|---|",
            *(f"| `{kind.code}` | {_first_line(kind)} |" for kind in errors.BY_CODE.values()),
            "",
            "## Types\n",
            _type(ErrorBody),
            *map(_type, nested(tops)),
        )
    )


def public_domains() -> list[Domain]:
    """The domains with something for clients, in the catalogue's order."""
    found = []
    for module in DOMAINS:
        values = list(vars(module).values())
        commands = tuple(v for v in values if isinstance(v, Command) and not v.internal)
        events = tuple(v for v in values if isinstance(v, Event) and not v.internal)
        if commands or events:
            title = module.__name__.rpartition(".")[2].capitalize()
            found.append(Domain(title, module, commands, events))
    return found


def _overview(domains: list[Domain]) -> list[str]:
    rows = [
        f"| [`{command.name}`](#{_anchor(command.name)}) | `{command.role.value}` |"
        f" {command.summary} |"
        for domain in domains
        for command in domain.commands
    ]
    return ["| request | role | does |", "|---|---|---|", *rows, ""]


def _domain(domain: Domain) -> list[str]:
    about = " ".join((inspect.getdoc(domain.module) or "").split())
    return [
        f"## {domain.title} API\n\n{about}\n",
        *map(_command, domain.commands),
        *map(_event, domain.events),
    ]


def _command(command: Command[Any, Any]) -> str:
    parts = [
        f"### `{command.name}`\n",
        f"{command.summary} Needs the role `{command.role.value}`.\n",
        f"**Request.** {taken(command.request)}",
        f"**Reply.** {given(command.reply)}",
    ]
    example = command_examples().get(command.name)
    if example is not None:
        head = f'socket.emit("{command.name}", '
        request = literal(example.request, len(head) + len(", (reply) => {"))
        note = "// reply.data, abridged:" if example.abridged else "// reply.data:"
        parts += [
            "```javascript",
            f"{head}{request}, (reply) => {{",
            "  console.log(reply.data);",
            "});",
            note,
            literal(example.reply),
            "```\n",
        ]
    return "\n".join(parts)


def _event(event: Event[Any]) -> str:
    parts = [
        f"### `{event.name}` (event)\n",
        f"{event.summary}\n",
        f"**Payload.** {given(event.payload)}",
    ]
    example = event_examples().get(event.name)
    if example is not None:
        parts += [
            "```javascript",
            f'socket.on("{event.name}", (payload) => console.log(payload));',
            literal(example),
            "```\n",
        ]
    return "\n".join(parts)


def _type(kind: type[Struct]) -> str:
    return f"### {kind.__name__}\n\n{given(kind)}"


def _anchor(name: str) -> str:
    """What Markdown viewers make of a heading in backticks."""
    return name.replace(":", "")


def _first_line(kind: type[Any]) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]
