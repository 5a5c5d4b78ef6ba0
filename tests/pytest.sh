#!/usr/bin/env bash
# The tests that need no hosts. `fast`: the lab's own checks, the playbooks' variables, the store on SQLite.
# `whole`: AWS's modules on an emulator, the store on MySQL and in a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

# One worker for each of the two cores that a small machine has; a file stays with one worker.
parallel=(--numprocesses=2 --dist=loadfile)
case ${1:?fast or whole} in
    fast)
        pytest -q "${parallel[@]}" tests/lab tests/ansible tests/store
        ;;
    whole)
        # checkov lives in an environment of its own; the rehearsal runs it.
        pytest -q "${parallel[@]}" tests/aws --ignore=tests/aws/test_checkov.py
        TEST_DATABASE=mysql pytest -q tests/store tests/aws/test_migrate.py
        pytest -q "${parallel[@]}" tests/browser
        ;;
    *)
        echo "tests/pytest.sh: fast or whole" >&2
        exit 2
        ;;
esac
