#!/usr/bin/env bash
# The tests that need no hosts: the store on SQLite and on MySQL, the playbooks' variables, a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

lab/mysql/build.sh bookstore-test-mysql:latest
pytest -q tests
TEST_DATABASE=mysql pytest -q tests/store
