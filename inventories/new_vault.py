"""Generate an environment's secrets, encrypted: ``make vault ENV=production``.

Writes ``inventories/ENV/group_vars/all/vault.yml`` with ansible-vault, under a password kept in
``.vault-password-ENV`` (generated where it is missing). A vault that exists is never touched.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import yaml
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ("two-vms", "aws")
# Written by `make up` and `make image`, with secrets of their own.
OWN = ("lab", "image")


class VaultError(Exception):
    """The vault was not made. The text says why and what to do."""


def new_vault(environment: str, root: Path = ROOT) -> tuple[Path, Path]:
    """Make the vault of an environment.

    Args:
        environment: name of a folder below ``inventories``.
        root: the repository.

    Returns:
        The vault and the file with its password.

    Raises:
        VaultError: there is no such environment, or it has a vault.
    """
    if environment in EXAMPLES:
        raise VaultError(
            f"inventories/{environment} is an example. Copy it, and make the copy's secrets: "
            f"cp -r inventories/{environment} inventories/production; make vault ENV=production"
        )
    inventory = root / "inventories" / environment
    if not environment or not (inventory / "hosts.yml").is_file():
        known = sorted({path.parent.name for path in root.glob("inventories/*/hosts.yml")} - {*EXAMPLES, *OWN})
        raise VaultError(
            f'there is no environment "{environment}" below inventories/. '
            + (f"Name one of {', '.join(known)}." if known else f"Copy an example, such as inventories/{EXAMPLES[0]}.")
        )
    vault = inventory / "group_vars" / "all" / "vault.yml"
    if vault.exists():
        raise VaultError(
            f"{vault.relative_to(root)} exists and stays as it is. To change a secret: "
            f"ansible-vault edit --vault-password-file .vault-password-{environment} "
            f"{vault.relative_to(root)}"
        )
    password = root / f".vault-password-{environment}"
    if not password.exists():
        _write_private(password, secrets.token_urlsafe(32) + "\n")
    content = yaml.safe_dump(
        {
            "vault_database_password": secrets.token_urlsafe(24),
            "vault_secret_key": secrets.token_urlsafe(48),
        }
    )
    library = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(password.read_bytes().strip()))])
    _write_private(vault, library.encrypt(content).decode())
    return vault, password


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def main() -> int:
    """Make the vault and say what to do next."""
    environment = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        vault, password = new_vault(environment)
    except VaultError as error:
        print(f"make vault: {error}", file=sys.stderr)
        return 1
    print(f"Secrets are in {vault.relative_to(ROOT)}, encrypted; it may be committed.")
    print(f"Their password is in {password.name}; it may not: keep a copy in a safe place. Next:")
    print(f"  export ANSIBLE_VAULT_PASSWORD_FILE={password.name}")
    print(f"  ansible-playbook -i inventories/{environment} playbooks/preflight.yml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
