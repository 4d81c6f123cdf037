#!/bin/sh
# Rewrites requirements.lock from pyproject.toml, and the package-lock.json of tests/js and of the
# dashboard from the package.json beside each. The dashboard's names its packages' exact releases.
# Pins that still fit are kept; `lock.sh --upgrade` takes the newest of everything.
#
# requirements.lock has two parts, so that running the stack installs no test tools: its first part,
# up to the line "# Development", is enough to run. Both parts come from one resolution.
set -eu
cd -P "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compile FILE [OPTION...]: pins that FILE already holds are preferred.
compile() {
    file=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --output-file "$file" "$@" \
        pyproject.toml - <"$work/build-requirements" >/dev/null
}

.venv/bin/python -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")' >"$work/build-requirements"

cp requirements.lock "$work/all" 2>/dev/null || true
compile "$work/all" --group dev "$@"
cp "$work/all" "$work/runtime"
compile "$work/runtime"
cp "$work/all" "$work/development"
# shellcheck disable=SC2046 # a list of words
compile "$work/development" --group dev \
    $(sed -nE 's/^([a-z0-9-]+)==.*/--no-emit-package \1/p' "$work/runtime" | sort -u)

{
    echo "# Written by \`make lock\` from pyproject.toml."
    echo "# Runtime: what runs the stack, and the build backend that installs it."
    cat "$work/runtime"
    echo "# Development: what \`make check\` and \`make test\` need besides."
    sed '/^# The following packages were excluded/,$d' "$work/development"
} >"$work/requirements.lock"
cp "$work/requirements.lock" requirements.lock

case ${1-} in
--upgrade) .venv/bin/python -m tests.support.node update --package-lock-only ;;
*) .venv/bin/python -m tests.support.node install --package-lock-only ;;
esac
.venv/bin/python hatch_build.py lock
