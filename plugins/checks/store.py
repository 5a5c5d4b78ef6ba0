"""What the store itself insists on; tests/ansible/test_contracts.py keeps these equal to its code."""

STORE_SECRET_LENGTH = 32
STORE_WEAK_SECRETS = (
    "secret",
    "changeme",
    "change-me",
    "change_me",
    "default",
    "password",
    "your-key",
    "dev-key",
    "example",
)
STORE_BODY_LIMIT = 6 * 1024**2
STORE_GRACEFUL_TIMEOUT = 30
