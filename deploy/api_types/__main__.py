"""Writes gateway/dashboard/src/lib/api/contract.ts; `--check` only compares.

`python -m deploy.api_types`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.api_types.module import module

SOURCE = Path(__file__).resolve().parents[2] / "gateway/dashboard/src/lib/api/contract.ts"


def main() -> int:
    """Write the module, or compare it; 1 where it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    only_compare = parser.parse_args().check
    text = module()
    if not only_compare:
        SOURCE.write_text(text, encoding="utf-8")
        return 0
    if SOURCE.exists() and SOURCE.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{SOURCE.name} is stale: run python -m deploy.api_types\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
