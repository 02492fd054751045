#!/bin/sh
# Every checker runs, so that one call shows all there is to mend; fails when any of them did.
set -u
cd "$(dirname "$0")/../.."
BIN=.venv/bin
failed=

check() {
    name=$1; shift
    "$@" || failed="$failed $name"
}

# present PATTERN...: the files that exist, one a line
present() { for file in "$@"; do [ ! -f "$file" ] || printf '%s\n' "$file"; done; }

check ruff $BIN/ruff check --quiet .
check format $BIN/ruff format --quiet --check .
check mypy $BIN/mypy --no-error-summary
check imports $BIN/lint-imports --no-logo
for dockerfile in $(present deploy/Dockerfile deploy/*/Dockerfile deploy/*.Dockerfile); do
    check "$dockerfile" $BIN/hadolint "$dockerfile"
done
# the schema comes with the wheel: nothing is fetched
for compose in $(present deploy/compose*.y*ml deploy/docker-compose*.y*ml); do
    check "$compose" $BIN/check-jsonschema --quiet --builtin-schema vendor.compose-spec "$compose"
done

if [ -n "$failed" ]; then
    echo "lint: failed:$failed" >&2
    exit 1
fi
echo "lint: clean"
