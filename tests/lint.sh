#!/usr/bin/env bash
# Every linter and type checker, one line each when it passes. Run from the repository by `make lint`.
set -euo pipefail
cd "$(dirname "$0")/.."

check() {
    local name=$1
    shift
    local began=$SECONDS output
    if ! output=$("$@" 2>&1); then
        printf 'lint: %s failed\n%s\n' "$name" "$output" >&2
        exit 1
    fi
    printf 'lint: %-14s %3d s\n' "$name" $((SECONDS - began))
}

check ruff ruff check .
check ruff-format ruff format --check .
check mypy mypy
check yamllint yamllint --strict .
mapfile -t scripts < <(git ls-files "*.sh" .ci/run lab/host/lab-init lab/vm/lab-vm lab/acme/pebble-settings roles/efs-mount/files/efs-mount)
check shellcheck shellcheck "${scripts[@]}"
mapfile -t dockerfiles < <(git ls-files "*Dockerfile")
check hadolint hadolint "${dockerfiles[@]}"
check workflows check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
check role-docs python docs/role_readmes.py --check
check ansible-lint ansible-lint --offline
