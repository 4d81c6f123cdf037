"""Writes docs/api.md: `python -m deploy.api_page`; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.api_page.examples import FOLDER, ExampleInvalid
from deploy.api_page.page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def main() -> int:
    """Write the page, or compare it; 1 where it is stale or an example does not fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    only_compare = parser.parse_args().check
    try:
        text = page()
    except ExampleInvalid as error:
        sys.stderr.write(f"{FOLDER}: {error}\n")
        return 1
    if not only_compare:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("docs/api.md is stale: run python -m deploy.api_page\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
