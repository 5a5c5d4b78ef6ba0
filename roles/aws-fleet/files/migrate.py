"""Makes the store's database user and brings the schema to this image's release.

Run by Run Command on one instance of the golden image, whose role may read the master secret. Its argument is JSON:
``settings`` (the user data of an instance of the store) and ``master_secret_arn``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# How the golden image starts its container: image, arguments and settings (roles/golden-image).
CONTAINER = Path("/etc/bookstore/container.json")
# Runs in the store's container, which has a client for MySQL. The store itself may read and write rows, no more.
ACCOUNT = """
import os
import pymysql

ca = os.environ.get("DB_SSL_CA")
server = pymysql.connect(
    host=os.environ["DB_HOST"], port=int(os.environ.get("DB_PORT", 3306)), connect_timeout=10,
    user=os.environ["DB_USER"], password=os.environ["DB_PASS"], ssl={"ca": ca} if ca else None,
)
user, password, database = (os.environ[name] for name in ("STORE_USER", "STORE_PASS", "DB_NAME"))
with server.cursor() as cursor:
    cursor.execute("CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4" % database)
    cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s REQUIRE SSL", (user, password))
    cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s REQUIRE SSL", (user, password))
    cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON `" + database + "`.* TO %s@'%%'", (user,))
print("the store's database user is there")
"""


def environment(
    settings: dict[str, Any], baked: dict[str, str], store: dict[str, str], master: dict[str, str]
) -> dict[str, str]:
    """What the store's container is given: its own settings, but the master user."""
    return {
        **baked,
        **store,
        "DB_HOST": settings["database_host"],
        "DB_NAME": settings["database_name"],
        "DB_USER": master["username"],
        "DB_PASS": master["password"],
        "STORE_USER": store["DB_USER"],
        "STORE_PASS": store["DB_PASS"],
    }


def in_container(container: dict[str, Any], variables: dict[str, str], command: list[str]) -> None:
    """Run a command in the store's container, or end with what it ended with."""
    # Names alone on the command line: docker takes the values from this process's environment.
    names = [f"--env={name}" for name in variables]
    words = ["docker", "run", "--rm", *names, *container["arguments"], container["image"], *command]
    # Their daemon may still be starting.
    for _ in range(60):
        if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
            break
        time.sleep(1)
    done = subprocess.run(words, env={**os.environ, **variables})
    if done.returncode:
        sys.exit(f"`{' '.join(command[:1])}` in the store's container ended with {done.returncode}")


def main() -> None:
    """Read both secrets, make the user, migrate."""
    # Here: tests of the rest do without.
    import boto3

    given = json.loads(sys.argv[1])
    settings = given["settings"]
    manager = boto3.client("secretsmanager", region_name=settings["region"])
    store, master = (
        json.loads(manager.get_secret_value(SecretId=arn)["SecretString"])
        for arn in (settings["secret_arn"], given["master_secret_arn"])
    )
    container = json.loads(CONTAINER.read_text())
    variables = environment(settings, container["settings"], store, master)
    in_container(container, variables, ["python", "-c", ACCOUNT])
    in_container(container, variables, ["flask", "--app", "bookstore", "db", "upgrade"])
    print("the schema is at its head")


if __name__ == "__main__":
    main()
