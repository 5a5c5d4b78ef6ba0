"""What the instance was given: its user data, which hold names and ARNs, and the secret that they name."""

from __future__ import annotations

import difflib
import http.client
import json
import re
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .steps import BootError, Refused, http_request, reason

MIN_SECRET_LENGTH = 32

ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html#iam-resources
SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:[A-Za-z0-9/_+=.@-]+")
# https://docs.aws.amazon.com/efs/latest/ug/API_FileSystemDescription.html
FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
ACCESS_POINT = re.compile(r"fsap-[0-9a-f]{8,40}")

# Keys of the user data: their type, and what they say.
KEYS: dict[str, tuple[type, str]] = {
    "environment": (str, "name of the environment, for people"),
    "region": (str, "AWS region of the secret and of the file system"),
    "release": (str, "release that the instance is to run, which must be the image's"),
    "secret_arn": (str, "secret in Secrets Manager, a JSON object of environment variables"),
    "secret_file": (str, "the same in a file, where there is no Secrets Manager"),
    "database_host": (str, "address of the MySQL server"),
    "database_port": (int, "its port, 3306 where it is left out"),
    "database_name": (str, "name of the database, bookstore where it is left out"),
    "file_system_id": (str, "EFS file system of the covers"),
    "access_point_id": (str, "its access point"),
    "covers_address": (str, "address of the covers' NFS server, where it is not EFS"),
    "settings": (dict, "further environment variables of the store, none of them secret"),
    "trial": (bool, "true: an empty database of its own, to prove an image without any other host"),
}


@dataclass(frozen=True)
class Metadata:
    """Instance metadata, version 2 (token required).

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    url: str

    def user_data(self) -> bytes:
        """The instance's user data.

        Raises:
            Refused: it was given none.
            BootError: the service did not answer.
        """
        try:
            seconds = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
            token = http_request("PUT", f"{self.url}/latest/api/token", seconds).decode()
            return http_request("GET", f"{self.url}/latest/user-data", {"X-aws-ec2-metadata-token": token})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise Refused("this instance was given none; the launch template must name the database") from None
            raise BootError(f"the instance's metadata answered {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            raise BootError(f"the instance's metadata at {self.url} does not answer ({reason(error)})") from None


def read_user_data(source: str) -> bytes:
    """User data from the metadata service (an address) or from a file.

    Raises:
        BootError: it is not there, perhaps not yet.
    """
    if source.startswith("http"):
        return Metadata(source.rstrip("/")).user_data()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise BootError(f"{source} cannot be read ({reason(error)})") from None


def check_user_data(raw: bytes) -> dict[str, Any]:
    """The user data's keys, all known and each of its form.

    Raises:
        Refused: it is not that; the text says where and how to mend it.
    """
    try:
        data = json.loads(raw.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Refused(f"it is no JSON ({error}); give one object with names and ARNs") from None
    if not isinstance(data, dict):
        raise Refused("it is no JSON object; write {" + '"database_host": "…", …}')
    for key, value in data.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            mend = f'did you mean "{near[0]}"?' if near else f"the keys are {', '.join(KEYS)}"
            raise Refused(f'"{key}" is no key that this image knows; {mend}')
        if type(value) is not KEYS[key][0]:
            kind = {str: "text", int: "number", bool: "true or false", dict: "object"}[KEYS[key][0]]
            raise Refused(f'"{key}" must be {kind} ({KEYS[key][1]})')
    # An environment without covers on EFS leaves their names empty.
    data = {key: value for key, value in data.items() if value != ""}
    if data.get("trial"):
        return data
    _check_names(data)
    return data


def _check_names(data: Mapping[str, Any]) -> None:
    if "database_host" not in data:
        raise Refused('"database_host" is missing: the address of the MySQL server')
    if ("secret_arn" in data) == ("secret_file" in data):
        raise Refused('give either "secret_arn" or "secret_file": where the session key and the password are')
    if arn := data.get("secret_arn"):
        found = SECRET_ARN.fullmatch(arn)
        if not found:
            raise Refused(f'"secret_arn" is {arn}, which is no ARN of a secret (arn:aws:secretsmanager:…:secret:…)')
        if data.get("region", found[1]) != found[1]:
            raise Refused(f'"secret_arn" is of {found[1]} and "region" is {data["region"]}; use one region')
    for key, form in (("file_system_id", FILE_SYSTEM), ("access_point_id", ACCESS_POINT)):
        if key in data and not form.fullmatch(data[key]):
            raise Refused(
                f'"{key}" is {data[key]}, which is none; it looks like {form.pattern.partition("[")[0]}0123abcd'
            )
    if "access_point_id" in data and "file_system_id" not in data:
        raise Refused('"access_point_id" needs "file_system_id"')
    if not 1 <= data.get("database_port", 3306) <= 65535:
        raise Refused('"database_port" must be from 1 to 65535')
    for name, value in data.get("settings", {}).items():
        _check_variable(f'"settings" has {name}', name, value)


def _check_variable(where: str, name: str, value: object) -> None:
    if not ENVIRONMENT_NAME.fullmatch(name) or not isinstance(value, str) or "\n" in value or "\r" in value:
        raise Refused(f"{where}, which is no environment variable: upper case, and a text of one line")


# Secrets.


def fetch_secret(data: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of the secret that the user data names.

    Raises:
        Refused: there is no such secret, or it lacks something.
        BootError: it could not be read this time.
    """
    name = data.get("secret_arn") or data["secret_file"]
    text = _from_secrets_manager(name) if "secret_arn" in data else _from_file(name)
    try:
        secret = json.loads(text)
    except json.JSONDecodeError:
        # The text is not shown: it is a secret, only a damaged one.
        raise Refused(f"{name} is no JSON object of environment variables") from None
    if not isinstance(secret, dict):
        raise Refused(f"{name} is no JSON object of environment variables")
    for variable, value in secret.items():
        _check_variable(f"{name} has {variable}", variable, value)
    for variable in ("SECRET_KEY", "DB_PASS"):
        if not secret.get(variable):
            raise Refused(f"{name} has no {variable}")
    if len(secret["SECRET_KEY"]) < MIN_SECRET_LENGTH:
        raise Refused(f"{name} has a SECRET_KEY of less than {MIN_SECRET_LENGTH} characters")
    return secret


def _from_file(name: str) -> str:
    try:
        return Path(name).read_text()
    except FileNotFoundError:
        raise Refused(f"{name} does not exist") from None
    except OSError as error:
        raise BootError(f"{name} cannot be read ({reason(error)})") from None


def _from_secrets_manager(arn: str) -> str:
    # Here, because a clone that reads its secret from a file does without.
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise Refused(
            f'{arn} is in Secrets Manager, and this image was baked without boto3; give "secret_file", or bake it with '
            "the metadata service as golden_image_user_data"
        ) from None

    try:
        client = boto3.client("secretsmanager", region_name=arn.split(":")[3])
        text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("ResourceNotFoundException", "InvalidRequestException", "ValidationException"):
            raise Refused(f"{arn} does not exist or is being deleted ({code})") from None
        # A role that was made a moment ago may not be known everywhere yet.
        raise BootError(f"{arn} was not given to this instance ({code})") from None
    except BotoCoreError as error:
        raise BootError(f"{arn} could not be fetched ({type(error).__name__}: {reason(error)})") from None
    except KeyError:
        raise Refused(f"{arn} holds bytes, not a text") from None
    return text
