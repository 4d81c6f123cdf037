"""A program of a stack that prints numbered lines, the given number of them, and then waits."""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, required=True)
    options, _ = parser.parse_known_args()
    for number in range(options.lines):
        sys.stderr.write(f"line {number} of many, all of which are kept for a while\n")
    sys.stderr.write("the end\n")
    sys.stderr.flush()
    signal.pause()


if __name__ == "__main__":
    main()
