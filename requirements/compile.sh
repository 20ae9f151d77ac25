#!/bin/sh
# Writes the pinned, hashed requirements anew from pyproject.toml; needs uv.
#   requirements/compile.sh             keeps the pins that still fit
#   requirements/compile.sh --upgrade   takes the newest versions that fit
# dev.txt is everything and is solved first; the others take their versions from it. test.txt is what the tests themselves need.
# Without uv's configuration and variables: what is written is the public registry's, for every platform, and names no address.
set -eu
cd "$(dirname "$0")/.."
unset UV_INDEX UV_DEFAULT_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_CONSTRAINT UV_OVERRIDE

uv pip compile --quiet --no-config --python-version 3.13 --generate-hashes --no-annotate --custom-compile-command requirements/compile.sh \
    --overrides requirements/homeassistant.overrides --output-file requirements/homeassistant.txt "$@" requirements/homeassistant.in >/dev/null

compile() { # FILE, then uv's options
    file=$1
    shift
    uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command requirements/compile.sh --output-file "$file" "$@" pyproject.toml >/dev/null
}

compile requirements/dev.txt --extra edge --extra server --extra postgres --extra video --extra release --extra bench --extra test --extra dev "$@"
compile requirements/edge.txt --extra edge --constraints requirements/dev.txt "$@"
compile requirements/server.txt --extra server --constraints requirements/dev.txt "$@"
compile requirements/bench.txt --extra edge --extra bench --constraints requirements/dev.txt "$@"
compile requirements/release.txt --extra edge --extra server --extra release --constraints requirements/dev.txt "$@"
compile requirements/test.txt --extra edge --extra server --extra video --extra release --extra test --constraints requirements/dev.txt "$@"
