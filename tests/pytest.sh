#!/usr/bin/env bash
# The tests that need no hosts: the lab's own checks, the playbooks' variables, the store on SQLite and
# on MySQL, the store in a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

# One worker for each of the two cores that a small machine has; a file stays with one worker.
pytest -q --numprocesses=2 --dist=loadfile tests/lab tests/ansible tests/store tests/browser
TEST_DATABASE=mysql pytest -q tests/store
