"""Writes common/engine_flags/catalogue.json from a llama-server: `make catalogue ENGINE=path`.

Names, types, defaults, choices and variables are facts and come from its help. Descriptions are our
own: those of the embedded engine's table, else those that the file had before. Flags without one
are named at the end; write theirs into the file.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec

import common.engine_flags
from common.engine_flags import shipped
from common.engine_flags.help_text import HelpText, parse_help
from common.engine_flags.shipped import ShippedFlag
from workers import engine_help
from workers.runner.embedded.table import BY_KEY

PATH = Path(common.engine_flags.__file__).parent / shipped.FILE_NAME


def flags(read: HelpText) -> list[ShippedFlag]:
    """The file's lines for a help, in its order."""
    before = {parameter.name: parameter.description for parameter in shipped.PARAMETERS}
    return [
        ShippedFlag(
            name=parameter.name,
            type=parameter.type,
            section=read.sections[parameter.name],
            default=parameter.default,
            description=_described_here(parameter.name) or before.get(parameter.name, ""),
            choices=parameter.choices,
            env=parameter.env,
            aliases=parameter.aliases,
            negations=parameter.negations,
        )
        for parameter in read.parameters
    ]


def text(version: str, lines: list[ShippedFlag]) -> str:
    """The file: JSON with one flag on a line, so that a change shows as such."""
    entries = ",\n".join(
        "  " + json.dumps(msgspec.to_builtins(flag), ensure_ascii=False) for flag in lines
    )
    return f'{{"version": {json.dumps(version)}, "flags": [\n{entries}\n]}}\n'


def _described_here(name: str) -> str:
    flag = BY_KEY.get(name)
    return flag.summary if flag and flag.name == name else ""


async def _main(program: str) -> int:
    version = await engine_help.ask([program, "--version"], os.environ)
    read = parse_help(await engine_help.ask([program, "--help"], os.environ))
    if not read.is_llama_cpp:
        sys.stderr.write(f"{program} is no llama-server\n")
        return 1
    lines = flags(read)
    PATH.write_text(text(engine_help.version_in(version), lines))
    missing = [flag.name for flag in lines if not flag.description]
    sys.stdout.write(f"{PATH}: {len(lines)} flags; without description: {missing or 'none'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1])))
