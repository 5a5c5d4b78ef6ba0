"""Makes the store's database user and brings the schema to this image's release.

Run by Run Command on one instance of the golden image whose role may read the master secret. Its argument is JSON:
``settings`` (the user data of an instance) and ``master_secret_arn``.
"""

import json
import os
import subprocess
import sys

import boto3

# Runs in the store's container, which has a client for MySQL. The store itself only reads and writes rows.
ACCOUNT = """
import os, pymysql
tls = {"ca": os.environ["DB_SSL_CA"]} if os.environ.get("DB_SSL_CA") else None
server = pymysql.connect(host=os.environ["DB_HOST"], user=os.environ["DB_USER"], password=os.environ["DB_PASS"],
                         ssl=tls, connect_timeout=10)
user, password, database = (os.environ[name] for name in ("STORE_USER", "STORE_PASS", "DB_NAME"))
with server.cursor() as cursor:
    cursor.execute("CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4" % database)
    cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s REQUIRE SSL", (user, password))
    cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s REQUIRE SSL", (user, password))
    cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON `" + database + "`.* TO %s@'%%'", (user,))
print("the store's database user is there")
"""
CA_FILE = "/etc/bookstore/database-ca.pem"


def main() -> None:
    given = json.loads(sys.argv[1])
    settings = given["settings"]
    secrets = boto3.client("secretsmanager", region_name=settings["region"])
    store = json.loads(secrets.get_secret_value(SecretId=settings["secret_arn"])["SecretString"])
    master = json.loads(secrets.get_secret_value(SecretId=given["master_secret_arn"])["SecretString"])
    environment = {
        **store,
        "DB_HOST": settings["database_host"],
        "DB_NAME": settings["database_name"],
        "DB_USER": master["username"],
        "DB_PASS": master["password"],
        "STORE_USER": store["DB_USER"],
        "STORE_PASS": store["DB_PASS"],
    }
    volumes = []
    if os.path.exists(CA_FILE):
        environment["DB_SSL_CA"] = CA_FILE
        volumes = ["--volume", f"{CA_FILE}:{CA_FILE}:ro"]
    newest = subprocess.run(
        ["docker", "images", "--quiet", "bookstore"], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    # Names alone on the command line: values are taken from this process's environment.
    names = [option for name in environment for option in ("--env", name)]
    container = ["docker", "run", "--rm", "--network", "host", *names, *volumes, newest]
    for command in (["python", "-c", ACCOUNT], ["flask", "--app", "bookstore", "db", "upgrade"]):
        done = subprocess.run([*container, *command], env={**os.environ, **environment})
        if done.returncode:
            sys.exit(f"`{' '.join(command[:2])} …` ended with {done.returncode}")
    print("the schema is at its head")


main()
