#!/bin/sh
# Sets up .venv: `setup.sh runtime` installs what runs the stack, `setup.sh development` also what
# checks and tests it, `setup.sh benchmarks` also what the benchmarks compare with. make calls it
# before every target; a step that was done here before, with the same files, is skipped.
# requirements.lock pins everything by hash, the build backend included.
#
# PYTHON names the interpreter that .venv is made with (default: python3).
set -eu
cd -P "$(dirname "$0")/.."

python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1

fail() {
    echo "setup: $*" >&2
    exit 1
}

# once STAMP STEP FILE...: run STEP unless STAMP says that it was done, in this directory (a venv
# holds absolute paths) and with the files as they are now.
once() {
    stamp=$1 step=$2
    shift 2
    state="$PWD $(cat scripts/setup.sh "$@" | cksum)"
    [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && return
    "$step"
    echo "$state" >"$stamp"
}

require_python() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    found=$("$python" --version 2>&1) || found="not there"
    fail "Python 3.11 or newer is needed and $python is $found." \
        "Name another one, for example: make run PYTHON=python3.12"
}

# What is missing here, as names of Debian packages.
missing_for_runtime() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    has_library libgomp.so.1 || echo libgomp1
    has_library libstdc++.so.6 || echo libstdc++6
}

missing_for_development() {
    command -v curl >/dev/null || echo curl
    command -v chromium >/dev/null || echo chromium
}

missing_for_benchmarks() {
    command -v chromium >/dev/null || echo chromium
    command -v wrk >/dev/null || echo wrk
    PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || echo nginx-light
}

has_library() {
    "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null
}

# require LISTER: install what LISTER prints where we may, else say how.
require() {
    missing=$("$1" | xargs)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing system packages: $missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # shellcheck disable=SC2086 # a list of words
        apt-get install -y -qq --no-install-recommends $missing </dev/null
        missing=$("$1" | xargs)
    fi
    [ -z "$missing" ] || fail "missing system packages (Debian's names): $missing." \
        "Install them first, for example: sudo apt-get install $missing"
}

pip_install() {
    .venv/bin/python -m pip install --quiet "$@"
}

# Exactly the pins of a lock file. Without --no-deps some pips look for a newer release of what
# another package asks for with an extra (`coverage[toml]`), and refuse it for having no hash.
install_locked() {
    pip_install --no-deps --require-hashes --only-binary :all: -r "$1"
}

# False in a moved or copied checkout, and where a set-up was interrupted.
venv_is_whole() {
    grep -qsF -- "-m venv $PWD/.venv" .venv/pyvenv.cfg &&
        .venv/bin/python -m pip --version >/dev/null 2>&1
}

install_runtime() {
    require_python
    require missing_for_runtime
    echo "Setting up .venv (150 MB to download the first time) ..."
    if ! venv_is_whole; then
        rm -rf .venv
        "$python" -m venv .venv
    fi
    sed '/^# Development/,$d' requirements.lock >.venv/runtime.lock
    install_locked .venv/runtime.lock
    build_dashboard
    pip_install --no-deps --no-build-isolation --editable .
}

install_development() {
    require missing_for_development
    echo "Installing what checks and tests it (140 MB to download the first time) ..."
    install_locked requirements.lock
    .venv/bin/python -m pip check --quiet
}

install_node_modules() {
    .venv/bin/python -m tests.support.node ci
}

build_dashboard() {
    .venv/bin/python hatch_build.py
}

install_dashboard_tools() {
    .venv/bin/python hatch_build.py install
}

# What the dashboard is built of.
dashboard_sources() {
    find gateway/dashboard \( -name node_modules -o -name dist \) -prune -o -type f -print | sort
}

case ${1-} in
runtime | development | benchmarks) ;;
*) fail "usage: setup.sh runtime|development|benchmarks" ;;
esac
once .venv/.runtime install_runtime requirements.lock pyproject.toml
# shellcheck disable=SC2046 # a list of paths without blanks
once gateway/dashboard/dist/.stamp build_dashboard hatch_build.py $(dashboard_sources)
if [ "$1" != runtime ]; then
    once .venv/.development install_development requirements.lock
    once tests/js/node_modules/.installed install_node_modules tests/js/package-lock.json
    once gateway/dashboard/node_modules/.stamp install_dashboard_tools \
        gateway/dashboard/package-lock.json
fi
if [ "$1" = benchmarks ]; then
    require missing_for_benchmarks
fi
