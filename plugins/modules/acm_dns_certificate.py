#!/usr/bin/python
"""Ansible module: a certificate that AWS issues for a name in a Route 53 zone."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, run, tag_list

DOCUMENTATION = r"""
module: acm_dns_certificate
short_description: A certificate of AWS Certificate Manager, validated by DNS
description:
  - community.aws.acm_certificate only imports certificates. This module requests one and writes the record that proves
    the name into its Route 53 zone. It does not wait until AWS has issued it; M(aws_wait) does.
  - When it is absent, its validation record goes with it.
options:
  domain: {type: str, required: true, description: Name that the certificate is for.}
  zone: {type: str, description: 'Public Route 53 zone that the name is in, such as C(example.com).'}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  tags: {type: dict, default: {}, description: Its tags. A certificate without them is not this one.}
  timeout: {type: int, default: 120, description: Seconds until AWS must have named the validation record.}
  delay: {type: float, default: 2, description: Seconds between two looks.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Have a certificate
  acm_dns_certificate:
    domain: books.example.com
    zone: example.com
"""
RETURN = r"""
certificate:
  description: The certificate; C(arn), C(status), C(zone_id). Empty texts in check mode.
  type: dict
  returned: always
"""


def find(acm: Any, domain: str, tags: dict[str, Any]) -> dict[str, Any] | None:
    """The environment's certificate for the name, an issued one before one that is awaited."""
    found: list[dict[str, Any]] = []
    for page in acm.get_paginator("list_certificates").paginate(CertificateStatuses=["ISSUED", "PENDING_VALIDATION"]):
        for summary in page["CertificateSummaryList"]:
            if summary["DomainName"] != domain:
                continue
            certificate = acm.describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"]
            listed = acm.list_tags_for_certificate(CertificateArn=summary["CertificateArn"])["Tags"]
            own = {tag["Key"]: tag.get("Value", "") for tag in listed}
            if certificate.get("Type") != "IMPORTED" and tags.items() <= own.items():
                found.append(certificate)
    return min(found, key=lambda certificate: certificate["Status"] != "ISSUED", default=None)


def zone_id(route53: Any, zone: str) -> str:
    """The id of a public zone."""
    name = zone.rstrip(".") + "."
    for found in route53.list_hosted_zones_by_name(DNSName=name)["HostedZones"]:
        if found["Name"] == name and not found["Config"].get("PrivateZone"):
            return str(found["Id"].rpartition("/")[2])
    raise AwsError(f"There is no public Route 53 zone {zone} in this account. Make it, and delegate the domain to it.")


def record_of(certificate: dict[str, Any]) -> dict[str, Any] | None:
    """The record that proves the name, once AWS has named it."""
    for option in certificate.get("DomainValidationOptions", []):
        if "ResourceRecord" in option:
            record = option["ResourceRecord"]
            return {
                "Name": record["Name"],
                "Type": "CNAME",
                "TTL": 300,
                "ResourceRecords": [{"Value": record["Value"]}],
            }
    return None


def is_there(route53: Any, zone: str, record: dict[str, Any]) -> bool:
    """Whether the zone has the record."""
    found = route53.list_resource_record_sets(
        HostedZoneId=zone, StartRecordName=record["Name"], StartRecordType="CNAME", MaxItems="1"
    )["ResourceRecordSets"]
    return bool(found) and found[0]["Name"] == record["Name"] and found[0]["Type"] == "CNAME"


def change_record(route53: Any, zone: str, action: str, record: dict[str, Any]) -> None:
    """Write or delete the record."""
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    )


def request(acm: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Ask AWS for the certificate and wait until it has named the record, which takes seconds."""
    arn = acm.request_certificate(
        DomainName=given["domain"],
        ValidationMethod="DNS",
        **({"Tags": tag_list(given["tags"])} if given["tags"] else {}),
    )["CertificateArn"]
    until = time.monotonic() + given["timeout"]
    while True:
        certificate: dict[str, Any] = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        if record_of(certificate):
            return certificate
        if time.monotonic() > until:
            raise AwsError(
                f"AWS has not named the validation record after {given['timeout']} s. Run the playbook again."
            )
        time.sleep(given["delay"])


def work(acm: Any, route53: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the certificate to its state and describe it."""
    tags = {key: str(value) for key, value in given["tags"].items()}
    found = find(acm, given["domain"], tags)
    if given["state"] == "absent":
        if found and changes.wanted("certificate", found["CertificateArn"], None):
            record = record_of(found)
            zone = zone_id(route53, given["zone"]) if given["zone"] else ""
            if record and zone and is_there(route53, zone, record):
                change_record(route53, zone, "DELETE", record)
            acm.delete_certificate(CertificateArn=found["CertificateArn"])
        return {"certificate": {}}
    zone = zone_id(route53, given["zone"])
    if not found and changes.wanted("certificate", None, given["domain"]):
        found = request(acm, given)
    record = record_of(found) if found else None
    if record and not is_there(route53, zone, record) and changes.wanted("record", None, record["Name"]):
        change_record(route53, zone, "UPSERT", record)
    found = found or {}
    arn, status = found.get("CertificateArn", ""), found.get("Status", "")
    return {"certificate": {"arn": arn, "status": status, "zone_id": zone}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "acm",
        "route53",
        about="Certificate for {domain}",
        argument_spec={
            "domain": {"type": "str", "required": True},
            "zone": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "tags": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 120},
            "delay": {"type": "float", "default": 2},
        },
        required_if=[("state", "present", ["zone"])],
    )


if __name__ == "__main__":
    main()
