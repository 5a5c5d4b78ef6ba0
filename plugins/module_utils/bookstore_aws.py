"""What the modules for AWS share: noting changes, telling errors, tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

RIGHTS = "Give your user or role this right; docs/aws-operator-policy.json has all that are needed."
# What an operator can do about an answer of AWS, by its code.
MENDS = {
    "AccessDenied": RIGHTS,
    "AccessDeniedException": RIGHTS,
    "UnauthorizedOperation": RIGHTS,
    "ExpiredToken": "Your credentials have expired: get new ones, then run the playbook again.",
    "ExpiredTokenException": "Your credentials have expired: get new ones, then run the playbook again.",
    "FreeTierRestrictionError": (
        "An account on AWS's free plan has limits of its own: set what it names lower, e.g. aws_data_backup_days: 1."
    ),
    "RequestExpired": "Your credentials have expired: get new ones, then run the playbook again.",
}


Work = Callable[..., dict[str, Any]]


class AwsError(Exception):
    """Something that the operator can mend. Its text names the thing, what is wrong with it and the mend."""


@dataclass
class Changes:
    """What a module changes, or would change in check mode.

    Attributes:
        check: whether nothing may be changed.
        before, after: what differs, by name, for ``--diff``.
    """

    check: bool
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def wanted(self, what: str, before: Any, after: Any) -> bool:
        """Note a change; whether to make it now."""
        self.before[what], self.after[what] = before, after
        return not self.check

    def differs(self, what: str, before: Any, after: Any) -> bool:
        """Note a change if there is one; whether to make it now."""
        return before != after and self.wanted(what, before, after)


def run(
    work: Work,
    *services: str,
    about: str,
    argument_spec: dict[str, Any],
    client: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Do a module's work and tell Ansible of it; errors in one line, never a traceback.

    Args:
        work: is given a client for each service, the module's parameters and its changes; returns facts.
        services: of AWS.
        about: what errors begin with; parameters in braces.
        argument_spec: the module's options.
        client: what else a client is made with.
        options: what else Ansible asks of a module.
    """
    module = AnsibleAWSModule(argument_spec=argument_spec, supports_check_mode=True, **options)
    changes, what = Changes(module.check_mode), about.format(**module.params)
    try:
        clients = (module.client(service, **client or {}) for service in services)
        facts = work(*clients, module.params, changes)
    except AwsError as error:
        module.fail_json(msg=f"{what}: {error}")
    except ClientError as error:
        told = error.response["Error"]
        mend = MENDS.get(told["Code"], "")
        module.fail_json(
            msg=f"{what}: {error.operation_name} failed: {told['Message']} ({told['Code']}). {mend}".strip()
        )
    except BotoCoreError as error:
        module.fail_json(msg=f"{what}: {error}")
    module.exit_json(changed=bool(changes.after), diff={"before": changes.before, "after": changes.after}, **facts)


def within(wanted: Any, present: Any) -> bool:
    """Whether everything that is wanted is there. AWS adds what was left out, and keeps no list's order."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(within(value, present.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(wanted) == len(present)
            and all(any(within(one, other) for other in present) for one in wanted)
        )
    return bool(wanted == present)


def tag_list(tags: Mapping[str, Any]) -> list[dict[str, str]]:
    """Tags as AWS's APIs take them."""
    return [{"Key": key, "Value": str(value)} for key, value in sorted(tags.items())]


def tag_dict(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Tags as a dictionary."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def missing(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The wanted entries that are not there, or otherwise there. AWS and others may have added more."""
    return {key: str(value) for key, value in wanted.items() if present.get(key) != str(value)}


def code(error: ClientError) -> str:
    """The code of AWS's answer."""
    return str(error.response["Error"]["Code"])
