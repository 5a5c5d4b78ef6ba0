#!/bin/bash
# Makes the MySQL image that the tests start: lab/mysql/build.sh [TAG]
# The official image where a registry answers, else one made from Debian's archive.
# Does nothing when the tag is there already.
set -euo pipefail

tag=${1:-bookstore-test-mysql:latest}
official=${MYSQL_IMAGE:-mysql:8.4}
suite=${MYSQL_DEBIAN_SUITE:-sid}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
base=bookstore-test-mysql-base:latest
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if docker image inspect "$tag" >/dev/null 2>&1; then
    exit 0
fi
# Only the question is short; a pull that has begun may take its time.
if timeout "${REGISTRY_TIMEOUT:-10}" docker manifest inspect "$official" >/dev/null 2>&1 &&
    docker pull --quiet "$official" >/dev/null; then
    docker tag "$official" "$tag"
    exit 0
fi
if ! command -v mmdebstrap >/dev/null; then
    echo "build.sh: no registry answers and mmdebstrap is not installed" >&2
    exit 1
fi
echo "No registry answers: making $tag from Debian $suite with mmdebstrap (about a minute)."
if ! docker image inspect "$base" >/dev/null 2>&1; then
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        as_root=(sudo)
    fi
    # $1 is for mmdebstrap to fill in. /etc/mysql is not needed: the entrypoint passes each setting.
    # shellcheck disable=SC2016
    "${as_root[@]}" mmdebstrap --quiet --variant=minbase --include=mysql-server \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --customize-hook='rm -rf "$1"/var/lib/mysql/* "$1"/var/lib/apt/lists/*' \
        "$suite" - "$mirror" | docker import - "$base" >/dev/null
fi
DOCKER_BUILDKIT=0 docker build --quiet --network none --build-arg "BASE=$base" --tag "$tag" "$here" >/dev/null
