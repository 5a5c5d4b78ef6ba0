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
STORE_HEALTH_PATH = "/health"
STORE_LOGIN_PATH = "/login"
STORE_UID = 10001
# Set from the secret or from user data on an instance of the golden image.
STORE_OWN_SECRETS = ("DB_PASS", "SECRET_KEY")
# How the golden image's nginx keeps idle connections, in seconds (the default of roles/nginx-certbot).
NGINX_KEEPALIVE_TIMEOUT = 75
# What roles/aws-watch raises alarms of.
WATCH_ALARMS = ("errors", "latency", "unhealthy", "database-cpu", "database-storage", "database-connections", "covers")
