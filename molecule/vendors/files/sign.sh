#!/bin/sh
# Makes a new key, signs the repositories with it, and publishes it in the files that are given.
set -eu
cd /srv/repositories
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg --batch --quiet --passphrase "" --quick-generate-key "Vendor <nobody@vendor.example>" ed25519 sign never
find . -name Release | while read -r release; do
    gpg --batch --yes --clearsign --output "${release%Release}InRelease" "$release"
done
for file in "$@"; do gpg --batch --yes --armor --output "$file" --export; done
