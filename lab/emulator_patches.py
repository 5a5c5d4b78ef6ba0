"""What AWS does and moto 5.2.5 does not, as far as playbooks/aws*.yml need it.

Each patch is one function on one moto method and names the AWS documentation that it follows;
tests/aws/test_emulator.py has a test for each. The classes are moto's; there are no others to build on.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.acm import models as acm
from moto.autoscaling import models as scaling, responses as scaling_responses
from moto.autoscaling.exceptions import AutoscalingClientError
from moto.cloudfront import models as cloudfront, responses as cloudfront_responses, urls as cloudfront_urls
from moto.cloudfront.exceptions import CloudFrontException, DistributionAlreadyExists
from moto.cloudwatch import models as cloudwatch
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2 import models as ec2
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import instances, launch_templates, tags
from moto.ec2.responses import launch_templates as launch_template_responses, security_groups
from moto.ec2.utils import parse_user_data
from moto.efs import responses as efs_responses
from moto.elbv2 import models as elb
from moto.elbv2.exceptions import ValidationError as ElbValidationError
from moto.rds import models as rds
from moto.rds.exceptions import DBParameterGroupNotFoundError, InvalidParameterCombination
from moto.secretsmanager import models as secrets
from moto.secretsmanager.exceptions import InvalidRequestException
from moto.ssm import models as ssm, responses as ssm_responses
from moto.ssm.exceptions import SSMException
from moto.wafv2 import models as waf, responses as waf_responses
from moto.wafv2.exceptions import WAFv2ClientError

Method = Callable[..., Any]

# A tag of an AMI whose instances never become healthy: a bad release.
UNHEALTHY_TAG = "emulator:unhealthy"
# A tag of an AMI whose migration fails.
UNMIGRATED_TAG = "emulator:migration-fails"
# An instance with this tag stands for a host of the lab: its commands are run there.
CONTAINER_TAG = "emulator:container"
LIVE_REFRESHES = ("Pending", "InProgress", "RollbackInProgress")


def patches(owner: Any, name: str) -> Callable[[Method], Method]:
    """Put a function in the place of a method; it is given the original first, None where moto has none."""

    def install(function: Method) -> Method:
        original = getattr(owner, name, None)

        @functools.wraps(function)
        def patched(*arguments: Any, **options: Any) -> Any:
            return function(original, *arguments, **options)

        setattr(owner, name, patched)
        return function

    return install


# --- Elastic Load Balancing


TARGET_GROUP_DEFAULTS = {
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "load_balancing.algorithm.anomaly_mitigation": "off",
}
BALANCER_DEFAULTS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "routing.http2.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "client_keep_alive.seconds": "3600",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
    "load_balancing.cross_zone.enabled": "true",
}


@patches(elb.FakeTargetGroup, "__init__")
def target_group(original: Method, self: Any, *arguments: Any, **options: Any) -> None:
    """Every attribute has a value (Elastic Load Balancing API: TargetGroupAttribute)."""
    original(self, *arguments, **options)
    for key, value in TARGET_GROUP_DEFAULTS.items():
        self.attributes.setdefault(key, value)


@patches(elb.FakeLoadBalancer, "__init__")
def load_balancer(original: Method, self: Any, *arguments: Any, **options: Any) -> None:
    """Every attribute has a value (Elastic Load Balancing API: LoadBalancerAttribute)."""
    original(self, *arguments, **options)
    for key, value in BALANCER_DEFAULTS.items():
        self.attrs.setdefault(key, value)


@patches(elb.ELBv2Backend, "create_load_balancer")
def create_load_balancer(original: Method, self: Any, name: str, *arguments: Any, **options: Any) -> Any:
    """Needs two zones, and a name of 32 characters at most (Elastic Load Balancing API: CreateLoadBalancer)."""
    if len(name) > 32:
        raise ElbValidationError(f"The load balancer name '{name}' cannot be longer than '32' characters")
    made = original(self, name, *arguments, **options)
    zones = {subnet.availability_zone for subnet in made.subnets}
    if made.type == "application" and len(zones) < 2:
        del self.load_balancers[made.arn]
        raise ElbValidationError("At least two subnets in two different Availability Zones must be specified")
    return made


@patches(elb.FakeTargetGroup, "health_for")
def health_for(original: Method, self: Any, target: Any, ec2_backend: Any) -> Any:
    """A target is healthy when it answers its health check (ELB user guide: Target health status)."""
    status = original(self, target, ec2_backend)
    found = ec2_backend.get_instance_by_id(target["Id"])
    if status.status == "healthy" and found and _image_has(ec2_backend, found.image_id, UNHEALTHY_TAG):
        status.status = "unhealthy"
        status.reason = "Target.ResponseCodeMismatch"
        status.description = "Health checks failed with these codes: [503]"
    return status


# --- RDS


MYSQL_PARAMETERS = {
    "require_secure_transport": "boolean",
    "slow_query_log": "boolean",
    "long_query_time": "float",
    "max_connections": "integer",
    "character_set_server": "string",
    "collation_server": "string",
    "log_output": "string",
}


@patches(rds.RDSBackend, "describe_db_parameter_groups")
def describe_db_parameter_groups(original: Method, self: Any, options: dict[str, Any]) -> Any:
    """An unknown group is an error (RDS API: DescribeDBParameterGroups)."""
    groups = original(self, options)
    if options.get("db_parameter_group_name") and not groups:
        raise DBParameterGroupNotFoundError(options["db_parameter_group_name"])
    return groups


@patches(rds.DBParameterGroup, "update_parameters")
def set_parameters(original: Method, self: Any, given: list[dict[str, Any]]) -> None:
    """A parameter that was set says so (RDS API: Parameter, Source)."""
    original(self, [{**parameter, "Source": "user"} for parameter in given])


@patches(rds.DBParameterGroup, "__init__")
def parameter_group(original: Method, self: Any, *arguments: Any, **options: Any) -> None:
    """A new group has its engine's parameters (RDS API: DescribeDBParameters)."""
    original(self, *arguments, **options)
    for name, kind in MYSQL_PARAMETERS.items():
        self.parameters[name] = {
            "ParameterName": name,
            "DataType": kind,
            "IsModifiable": True,
            "ApplyType": "dynamic",
            "Source": "engine-default",
            "ApplyMethod": "pending-reboot",
        }


@patches(rds.DBInstance, "__init__")
def db_instance(original: Method, self: Any, *arguments: Any, **options: Any) -> None:
    """A gp3 volume tells its operations and throughput (RDS user guide: gp3 storage)."""
    original(self, *arguments, **options)
    if getattr(self, "storage_type", None) == "gp3":
        self.iops = self.iops or 3000
        self.storage_throughput = getattr(self, "storage_throughput", None) or 125


@patches(rds.RDSBackend, "create_db_instance")
def create_db_instance(original: Method, self: Any, options: dict[str, Any]) -> Any:
    """A subnet group has two zones (RDS API: CreateDBSubnetGroup, DBSubnetGroupDoesNotCoverEnoughAZs)."""
    group = self.subnet_groups.get(options.get("db_subnet_group_name") or "")
    if group and len({subnet.availability_zone for subnet in group._subnets}) < 2:
        raise InvalidParameterCombination("The DB subnet group doesn't cover enough Availability Zones")
    return original(self, options)


@patches(rds.RDSBackend, "restore_db_instance_from_db_snapshot")
def restore_db_instance(original: Method, self: Any, source: str, overrides: dict[str, Any]) -> Any:
    """RDS manages the password of a restored instance of Oracle alone (RDS API: RestoreDBInstanceFromDBSnapshot)."""
    if overrides.get("manage_master_user_password"):
        raise InvalidParameterCombination("ManageMasterUserPassword applies to RDS for Oracle only")
    restored = original(self, source, overrides)
    if restored.manage_master_user_password:
        restored.master_user_secret.delete_secret()
        del restored.master_user_secret
        restored.manage_master_user_password = False
    return restored


# --- WAF


@patches(waf_responses.WAFV2Response, "list_resources_for_web_acl")
def list_resources_for_web_acl(_original: None, self: Any) -> str:
    """What a web ACL protects (AWS WAFV2 API: ListResourcesForWebACL)."""
    acl = self.wafv2_backend.wacls.get(json.loads(self.body)["WebACLArn"])
    return json.dumps({"ResourceArns": list(dict.fromkeys(acl.associated_resources)) if acl else []})


@patches(waf.WAFV2Backend, "create_web_acl")
def create_web_acl(original: Method, self: Any, *arguments: Any, **options: Any) -> Any:
    """A rate is counted over five minutes, unless said otherwise (AWS WAFV2 API: RateBasedStatement)."""
    acl = original(self, *arguments, **options)
    for rule in acl.rules:
        if limit := rule.statement.get("RateBasedStatement"):
            limit.setdefault("EvaluationWindowSec", 300)
    return acl


class UnavailableEntity(WAFv2ClientError):
    """WAF does not know yet what was made a moment ago."""

    def __init__(self) -> None:
        super().__init__(
            "WAFUnavailableEntityException",
            "AWS WAF couldn't retrieve a resource that you specified. Retry your request.",
        )


@patches(waf.WAFV2Backend, "associate_web_acl")
def associate_web_acl(original: Method, self: Any, web_acl_arn: str, resource_arn: str) -> None:
    """A new web ACL is not known everywhere at once (AWS WAFV2 API: AssociateWebACL, WAFUnavailableEntityException)."""
    acl = self.wacls.get(web_acl_arn)
    if acl and not hasattr(acl, "known"):
        acl.known = True
        raise UnavailableEntity
    original(self, web_acl_arn, resource_arn)


# --- ACM


@patches(acm.CertBundle, "__init__")
def certificate(original: Method, self: Any, *arguments: Any, **options: Any) -> None:
    """An imported certificate has a chain only if one was given (ACM API: ImportCertificate)."""
    original(self, *arguments, **options)
    if self.type == "IMPORTED" and not options.get("chain"):
        self.chain = self.cert


# --- Secrets Manager


@patches(secrets.SecretsManagerBackend, "get_secret_value")
def get_secret_value(original: Method, self: Any, secret_id: str, *arguments: Any, **options: Any) -> Any:
    """A deleted secret says so in words that Ansible's lookup knows (Secrets Manager API: GetSecretValue)."""
    if self._is_valid_identifier(secret_id) and self.secrets[secret_id].is_deleted():
        raise InvalidRequestException(
            "You can't perform this operation on the secret because it was marked for deletion."
        )
    return original(self, secret_id, *arguments, **options)


# --- CloudFront


@patches(cloudfront.CloudFrontBackend, "create_distribution_with_tags")
def create_distribution(original: Method, self: Any, distribution_config: dict[str, Any], tags: Any) -> Any:
    """A caller reference is used once, whatever became of its distribution (CloudFront API: DistributionConfig)."""
    used = self.__dict__.setdefault("caller_references", {})
    reference = distribution_config["CallerReference"]
    if reference in used:
        raise DistributionAlreadyExists(used[reference])
    made = original(self, distribution_config, tags)
    used[reference] = made[0].distribution_id
    return made


@patches(cloudfront_responses.CloudFrontResponse, "create_cache_policy")
def create_cache_policy(_original: None, self: Any) -> ActionResult:
    """Its name is the account's own (CloudFront API: CreateCachePolicy)."""
    policies, config = _cache_policies(self), self._get_param("CachePolicyConfig")
    if any(policy["CachePolicyConfig"]["Name"] == config["Name"] for policy in policies.values()):
        raise CloudFrontException("CachePolicyAlreadyExists", f"A cache policy with the name {config['Name']} exists.")
    policy = {"Id": str(uuid.uuid4()), "LastModifiedTime": datetime.now(UTC), "CachePolicyConfig": config}
    policies[policy["Id"]] = policy
    return ActionResult({"CachePolicy": policy, "ETag": _tag(policy)})


@patches(cloudfront_responses.CloudFrontResponse, "list_cache_policies")
def list_cache_policies(_original: None, self: Any) -> ActionResult:
    """Those of the account (CloudFront API: ListCachePolicies)."""
    items = [{"Type": "custom", "CachePolicy": policy} for policy in _cache_policies(self).values()]
    return ActionResult({"CachePolicyList": {"MaxItems": 100, "Quantity": len(items), "Items": items}})


@patches(cloudfront_responses.CloudFrontResponse, "get_cache_policy")
def get_cache_policy(_original: None, self: Any) -> ActionResult:
    """One of them, with the tag of its version (CloudFront API: GetCachePolicy)."""
    policy = _cache_policies(self)[self._get_param("Id")]
    return ActionResult({"CachePolicy": policy, "ETag": _tag(policy)})


@patches(cloudfront_responses.CloudFrontResponse, "update_cache_policy")
def update_cache_policy(_original: None, self: Any) -> ActionResult:
    """Needs the tag of the version that is changed (CloudFront API: UpdateCachePolicy)."""
    policy = _cache_policies(self)[self._get_param("Id")]
    if self.headers.get("If-Match") != _tag(policy):
        raise CloudFrontException("PreconditionFailed", "The If-Match version is not the policy's.")
    policy["CachePolicyConfig"] = self._get_param("CachePolicyConfig")
    return ActionResult({"CachePolicy": policy, "ETag": _tag(policy)})


@patches(cloudfront_responses.CloudFrontResponse, "delete_cache_policy")
def delete_cache_policy(_original: None, self: Any) -> ActionResult:
    """Not while a distribution names it (CloudFront API: DeleteCachePolicy)."""
    wanted = self._get_param("Id")
    for distribution in self.backend.distributions.values():
        behavior = distribution.distribution_config.DefaultCacheBehavior
        if behavior.cache_policy_id == wanted:
            raise CloudFrontException("CachePolicyInUse", "The cache policy is attached to a distribution.")
    del _cache_policies(self)[wanted]
    return ActionResult({})


def _cache_policies(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = response.backend.__dict__.setdefault("cache_policies", {})
    return found


def _tag(policy: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(policy["CachePolicyConfig"], sort_keys=True).encode()).hexdigest()[:13].upper()


for path in ("cache-policy$", "cache-policy/(?P<cache_policy_id>[^/]+)$"):
    cloudfront_urls.url_paths[f"{{0}}/2020-05-31/{path}"] = cloudfront_responses.CloudFrontResponse.dispatch


# --- EC2


@patches(launch_templates.LaunchTemplateVersion, "__init__")
def template_version(original: Method, self: Any, template: Any, number: int, data: Any, description: str) -> None:
    """A template's own tags are no part of its data; user data is (EC2 API: CreateLaunchTemplate)."""
    data = dict(data)
    if "TagSpecifications" in data:
        data["TagSpecifications"] = [
            spec for spec in data["TagSpecifications"] if spec.get("ResourceType") != "launch-template"
        ]
    user_data = data.get("UserData")
    if user_data is not None and not isinstance(user_data, Base64EncodedString):
        data["UserData"] = parse_user_data(user_data)
    original(self, template, number, data, description)


@patches(launch_template_responses.LaunchTemplates, "create_launch_template_version")
def create_template_version(original: Method, self: Any) -> Any:
    """A version inherits what it does not set from its source (EC2 API: CreateLaunchTemplateVersion)."""
    source = self._get_param("SourceVersion")
    if source:
        template = (
            self.ec2_backend.get_launch_template(self._get_param("LaunchTemplateId"))
            if self._get_param("LaunchTemplateId")
            else self.ec2_backend.get_launch_template_by_name(self._get_param("LaunchTemplateName"))
        )
        data = self._get_param("LaunchTemplateData", {})
        for key, value in template.get_version(source).data.items():
            data.setdefault(key, value)
    return original(self)


METADATA_OPTIONS = {
    "HttpTokens": "http_tokens",
    "HttpEndpoint": "http_endpoint",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "InstanceMetadataTags": "instance_metadata_tags",
}


@patches(instances.Instance, "__init__")
def instance(original: Method, self: Any, backend: Any, *arguments: Any, **options: Any) -> None:
    """An instance takes its template's metadata options (EC2 API: RunInstances)."""
    original(self, backend, *arguments, **options)
    given = options.get("launch_template") or {}
    if not given:
        return
    template = (
        backend.get_launch_template(given["LaunchTemplateId"])
        if given.get("LaunchTemplateId")
        else backend.get_launch_template_by_name(given["LaunchTemplateName"])
    )
    version = template.get_version(str(given.get("Version") or "$Default"))
    for key, attribute in METADATA_OPTIONS.items():
        if key in version.data.get("MetadataOptions", {}):
            setattr(self.metadata_options, attribute, version.data["MetadataOptions"][key])


@patches(ec2.EC2Backend, "create_image")
def create_image(
    original: Method, self: Any, instance_id: str, name: str, description: str, tag_specifications: list[Any]
) -> Any:
    """A name is used once; snapshots can be tagged with the image, and are encrypted as the instance's root disk is.

    EC2 API: CreateImage; EC2 user guide: Use encryption with EBS-backed AMIs.
    """
    if any(image.name == name and image.owner_id == self.account_id for image in self.amis.values()):
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
    image = original(
        self,
        instance_id,
        name,
        description,
        tag_specifications=[spec for spec in tag_specifications if spec["ResourceType"] != "snapshot"],
    )
    for spec in tag_specifications:
        if spec["ResourceType"] == "snapshot":
            for tag in spec["Tags"]:
                image.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
    disks = self.get_instance(instance_id).block_device_mapping
    image.ebs_snapshot.encrypted = any(
        self.volumes[disk.volume_id].encrypted for name, disk in disks.items() if name == image.root_device_name
    )
    return image


@patches(tags.TagBackend, "describe_tags")
def describe_tags(original: Method, self: Any, filters: dict[str, list[str]] | None = None) -> Any:
    """NAT gateways are of the type natgateway (EC2 API: DescribeTags), by moto's name nat-gateway."""
    if filters and filters.get("resource-type") == ["natgateway"]:
        filters = {**filters, "resource-type": ["nat-gateway"]}
    return original(self, filters)


@patches(ec2.EC2Backend, "describe_nat_gateways")
def describe_nat_gateways(original: Method, self: Any, filters: Any, nat_gateway_ids: list[str] | None) -> Any:
    """Only those that have the tags that are asked for (EC2 API: DescribeNatGateways, filter tag:<key>)."""
    wanted = {name.removeprefix("tag:"): values for name, values in (filters or {}).items() if name.startswith("tag:")}
    return [
        gateway
        for gateway in original(self, filters, nat_gateway_ids)
        if all({tag["key"]: tag["value"] for tag in gateway.get_tags()}.get(key) in wanted[key] for key in wanted)
    ]


for _direction in ("ingress", "egress"):

    @patches(security_groups.SecurityGroups, f"update_security_group_rule_descriptions_{_direction}")
    def update_descriptions(original: Method, self: Any) -> ActionResult:
        """The answer says that it was done (EC2 API: UpdateSecurityGroupRuleDescriptionsIngress, …Egress)."""
        original(self)
        return ActionResult({"Return": True})


# --- EFS


@patches(efs_responses.EFSResponse, "put_backup_policy")
def put_backup_policy(_original: None, self: Any) -> Any:
    """Turns automatic backups on or off (EFS API: PutBackupPolicy)."""
    system = self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]
    system._backup = json.loads(self.body)["BackupPolicy"]["Status"] == "ENABLED"
    status = "ENABLED" if system._backup else "DISABLED"
    return json.dumps({"BackupPolicy": {"Status": status}}), {"Content-Type": "application/json"}


# --- Auto Scaling: instances remember their template's version and are spread over the subnets; instance refresh


@patches(scaling.InstanceState, "__init__")
def instance_state(original: Method, self: Any, *arguments: Any, **options: Any) -> None:
    """An instance keeps the version that it was launched with (Auto Scaling API: Instance)."""
    original(self, *arguments, **options)
    group = self.auto_scaling_group
    self.launched_version = _version(group) if group is not None and group.ec2_launch_template else None


def _version(group: Any) -> str:
    version = str(group.provided_launch_template_version or "$Default")
    template = group.ec2_launch_template
    special = {"$Latest": template.latest_version_number, "$Default": template.default_version_number}
    return str(special.get(version, version))


_launch_template: Any = scaling.InstanceState.launch_template


def _instance_template(self: Any) -> dict[str, Any] | None:
    template: dict[str, Any] | None = _launch_template.fget(self)
    return {**template, "Version": self.launched_version or template["Version"]} if template else None


setattr(scaling.InstanceState, "launch_template", property(_instance_template))  # noqa: B010 (mypy: a read-only one)


# Settings of a group that moto forgets: their names and how they are read from a request.
GROUP_SETTINGS = {
    "DefaultInstanceWarmup": ("default_instance_warmup", "_get_int_param"),
    "MaxInstanceLifetime": ("max_instance_lifetime", "_get_int_param"),
    "InstanceMaintenancePolicy": ("instance_maintenance_policy", "_get_param"),
    "CapacityRebalance": ("capacity_rebalance", "_get_bool_param"),
    "TerminationPolicies": ("termination_policies", "_get_param"),
}


@patches(scaling_responses.AutoScalingResponse, "create_auto_scaling_group")
def create_auto_scaling_group(original: Method, self: Any) -> Any:
    """A group keeps all of its settings and begins with its hooks (Auto Scaling API: CreateAutoScalingGroup)."""
    answer = original(self)
    name = self._get_param("AutoScalingGroupName")
    _keep_settings(self, name)
    for hook in self._get_param("LifecycleHookSpecificationList", []):
        self.autoscaling_backend.create_lifecycle_hook(
            name=hook["LifecycleHookName"],
            as_name=name,
            transition=hook["LifecycleTransition"],
            timeout=hook.get("HeartbeatTimeout"),
            result=hook.get("DefaultResult"),
        )
    return answer


@patches(scaling_responses.AutoScalingResponse, "update_auto_scaling_group")
def update_auto_scaling_group(original: Method, self: Any) -> Any:
    """A group takes all of its settings (Auto Scaling API: UpdateAutoScalingGroup)."""
    answer = original(self)
    _keep_settings(self, self._get_param("AutoScalingGroupName"))
    return answer


def _keep_settings(response: Any, name: str) -> None:
    group = response.autoscaling_backend.autoscaling_groups[name]
    for key, (attribute, reader) in GROUP_SETTINGS.items():
        value = getattr(response, reader)(key)
        if value is not None:
            setattr(group, attribute, value)


@patches(scaling.FakeAutoScalingGroup, "enable_metrics_collection")
def enable_metrics_collection(original: Method, self: Any, metrics: list[str] | None) -> None:
    """Every metric where none is named (Auto Scaling API: EnableMetricsCollection)."""
    original(self, metrics or ["GroupInServiceInstances", "GroupDesiredCapacity", "GroupTotalInstances"])


@patches(scaling.FakeAutoScalingGroup, "replace_autoscaling_group_instances")
def launch_instances(original: Method, self: Any, count: int, tags: dict[str, str]) -> None:
    """Instances are spread over the zones (Auto Scaling user guide: Distribute instances across zones)."""
    subnets = self.vpc_zone_identifier.split(",") if self.vpc_zone_identifier else []
    every, zones = self.vpc_zone_identifier, self.availability_zones
    for _ in range(count):
        if subnets:
            used = [state.instance.subnet_id for state in self.instance_states]
            self.vpc_zone_identifier = min(subnets, key=used.count)
            self.availability_zones = [self.ec2_backend.get_subnet(self.vpc_zone_identifier).availability_zone]
        try:
            original(self, 1, dict(tags))
        finally:
            self.vpc_zone_identifier, self.availability_zones = every, zones


@patches(scaling_responses.AutoScalingResponse, "start_instance_refresh")
def start_instance_refresh(_original: None, self: Any) -> ActionResult:
    """One at a time; a rollback needs a version to come from (Auto Scaling API: StartInstanceRefresh)."""
    group = _group(self)
    if any(refresh["Status"] in LIVE_REFRESHES for refresh in group.refreshes):
        raise AutoscalingClientError("InstanceRefreshInProgress", "An Instance Refresh is already in progress")
    preferences = self._get_param("Preferences") or {}
    template = (self._get_param("DesiredConfiguration") or {}).get("LaunchTemplate") or {}
    if preferences.get("AutoRollback") and not template:
        raise AutoscalingClientError(
            "ValidationError", "AutoRollback cannot be set to true without a desired configuration"
        )
    if preferences.get("AutoRollback") and str(template.get("Version", "")).startswith("$"):
        raise AutoscalingClientError(
            "ValidationError", "AutoRollback requires a launch template version that is not $Latest or $Default"
        )
    refresh = {
        "InstanceRefreshId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Status": "Pending",
        "StartTime": datetime.now(UTC),
        "PercentageComplete": 0,
        "InstancesToUpdate": len(group.instance_states),
        "Preferences": preferences,
        "DesiredConfiguration": {"LaunchTemplate": template},
        "_old": _version(group),
        "_new": str(template.get("Version") or _version(group)),
    }
    group.refreshes.insert(0, refresh)
    return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})


@patches(scaling_responses.AutoScalingResponse, "describe_instance_refreshes")
def describe_instance_refreshes(_original: None, self: Any) -> ActionResult:
    """The newest first (Auto Scaling API: DescribeInstanceRefreshes). Each look moves a refresh one instance on."""
    group = _group(self)
    wanted = self._get_param("InstanceRefreshIds") or []
    found = [refresh for refresh in group.refreshes if not wanted or refresh["InstanceRefreshId"] in wanted]
    told = [{key: value for key, value in refresh.items() if not key.startswith("_")} for refresh in found]
    for refresh in found:
        _advance(group, refresh)
    return ActionResult({"InstanceRefreshes": told})


@patches(scaling.AutoScalingBackend, "put_scaling_policy")
def put_scaling_policy(original: Method, self: Any, *arguments: Any, **options: Any) -> Any:
    """Needs its group, within which its name is its own.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScalingPolicy.html
    """
    name = options.get("as_name") or arguments[2]
    if name not in self.autoscaling_groups:
        raise AutoscalingClientError("ValidationError", f"AutoScalingGroup name not found - {name}")
    policy = original(self, *arguments, **options)
    self.policies[_policy_key(name, policy.name)] = self.policies.pop(policy.name)
    return policy


@patches(scaling_responses.AutoScalingResponse, "delete_policy")
def delete_policy(_original: Method, self: Any) -> ActionResult:
    """Deletes the group's own.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeletePolicy.html
    """
    key = _policy_key(self._get_param("AutoScalingGroupName"), self._get_param("PolicyName"))
    self.autoscaling_backend.policies.pop(key, None)
    return ActionResult({})


def _policy_key(group: str, policy: str) -> str:
    return f"{group}/{policy}"


def _group(response: Any) -> Any:
    name = response._get_param("AutoScalingGroupName")
    group = response.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise AutoscalingClientError("ValidationError", f"AutoScalingGroup name not found - {name}")
    if not hasattr(group, "refreshes"):
        group.refreshes = []
    return group


def _advance(group: Any, refresh: dict[str, Any]) -> None:
    if refresh["Status"] == "Pending":
        refresh["Status"] = "InProgress"
    elif refresh["Status"] == "InProgress":
        template = group.ec2_launch_template.get_version(refresh["_new"])
        if ringing := _ringing(group, refresh):
            _give_up(refresh, f"Failed because of the alarms {', '.join(ringing)}.")
        elif _image_has(group.ec2_backend, template.data.get("ImageId"), UNHEALTHY_TAG):
            _replace_one(group, refresh["_new"])
            _give_up(refresh, "Failed because the replacement instances did not pass ELB health checks.")
        elif _replace_one(group, refresh["_new"]):
            left = sum(state.launched_version != refresh["_new"] for state in group.instance_states)
            refresh["InstancesToUpdate"] = left
            refresh["PercentageComplete"] = 100 - 100 * left // max(1, len(group.instance_states))
        else:
            refresh.update(Status="Successful", PercentageComplete=100, InstancesToUpdate=0, EndTime=datetime.now(UTC))
            _use(group, refresh["_new"])
    elif refresh["Status"] == "RollbackInProgress" and not _replace_one(group, refresh["_old"]):
        refresh.update(Status="RollbackSuccessful", EndTime=datetime.now(UTC))
        _use(group, refresh["_old"])


def _give_up(refresh: dict[str, Any], reason: str) -> None:
    back = refresh["Preferences"].get("AutoRollback")
    refresh.update(Status="RollbackInProgress" if back else "Failed", StatusReason=reason)


def _ringing(group: Any, refresh: dict[str, Any]) -> list[str]:
    """The alarms that end a refresh and are in ALARM.

    EC2 Auto Scaling user guide, "Undo changes with a rollback": CloudWatch alarms.
    """
    watched = refresh["Preferences"].get("AlarmSpecification", {}).get("Alarms", [])
    alarms = cloudwatch.cloudwatch_backends[group.account_id][group.region].alarms
    return [name for name in watched if name in alarms and alarms[name].state_value == "ALARM"]


def _use(group: Any, version: str) -> None:
    """Let a group launch instances of a version."""
    group.launch_template_version = group.provided_launch_template_version = version


def _replace_one(group: Any, version: str) -> bool:
    """Replace one instance of another version; whether there was one."""
    old = next((state for state in group.instance_states if state.launched_version != version), None)
    if not old:
        return False
    capacity = group.desired_capacity
    _use(group, version)
    group.instance_states = [state for state in group.instance_states if state is not old]
    group.ec2_backend.terminate_instances([old.instance.id])
    for arn in group.target_group_arns or []:
        elb.elbv2_backends[group.account_id][group.region].target_groups[arn].targets.pop(old.instance.id, None)
    group.set_desired_capacity(capacity)
    return True


def _image_has(ec2_backend: Any, image_id: str | None, tag: str) -> bool:
    image = ec2_backend.amis.get(image_id)
    return image is not None and any(found["key"] == tag for found in image.get_tags())


# --- Systems Manager


@patches(ssm_responses.SimpleSystemManagerResponse, "describe_instance_information")
def describe_instance_information(_original: None, self: Any) -> ActionResult:
    """Instances whose agent has called (Systems Manager API: DescribeInstanceInformation)."""
    wanted: list[str] = []
    for entry in self._get_param("Filters") or []:
        if entry["Key"] == "InstanceIds":
            wanted += entry["Values"]
    backend = ec2.ec2_backends[self.current_account][self.region]
    running = [
        {"InstanceId": found.id, "PingStatus": "Online", "PlatformType": "Linux"}
        for reservation in backend.all_reservations()
        for found in reservation.instances
        if found.state == "running" and (not wanted or found.id in wanted)
    ]
    return ActionResult({"InstanceInformationList": running})


@patches(ssm_responses.SimpleSystemManagerResponse, "start_session")
def start_session(_original: None, self: Any) -> ActionResult:
    """A session with a running instance (Systems Manager API: StartSession)."""
    target = self._get_param("Target")
    backend = ec2.ec2_backends[self.current_account][self.region]
    found = [one for reservation in backend.all_reservations() for one in reservation.instances]
    if target not in {one.id for one in found if one.state == "running"}:
        raise SSMException("TargetNotConnected", f"{target} is not connected.")
    stream = f"wss://ssmmessages.{self.region}.amazonaws.com/v1/data-channel/{target}"
    return ActionResult({"SessionId": f"emulator-{target}", "TokenValue": "none", "StreamUrl": stream})


@patches(ssm_responses.SimpleSystemManagerResponse, "terminate_session")
def terminate_session(_original: None, self: Any) -> ActionResult:
    """The end of a session, which may be over already (Systems Manager API: TerminateSession)."""
    return ActionResult({"SessionId": self._get_param("SessionId")})


@patches(ssm.Command, "invocation_response")
def invocation(original: Method, self: Any, instance_id: str, plugin: str) -> dict[str, Any]:
    """A command's own status and output (Systems Manager API: GetCommandInvocation)."""
    told: dict[str, Any] = original(self, instance_id, plugin)
    backend = ec2.ec2_backends[self.account_id][self.backend_region]
    found = backend.get_instance(instance_id)
    for tag in found.get_tags():
        if tag["key"] == CONTAINER_TAG:
            return told | _run_in(tag["value"], self.parameters["commands"])
    failed = _image_has(backend, found.image_id, UNMIGRATED_TAG)
    told.update(
        Status="Failed" if failed else "Success",
        StatusDetails="Failed" if failed else "Success",
        ResponseCode=int(failed),
        StandardOutputContent="" if failed else "the schema is at its head\n",
        StandardErrorContent="migration 0007 failed\n" if failed else "",
    )
    return told


def _run_in(container: str, lines: list[str]) -> dict[str, Any]:
    """What a script says in the host of the lab that an instance stands for."""
    words = ["docker", "exec", "--interactive", container, "bash", "-s"]
    done = subprocess.run(words, input="\n".join(lines) + "\n", capture_output=True, text=True)
    status = "Failed" if done.returncode else "Success"
    return {
        "Status": status,
        "StatusDetails": status,
        "ResponseCode": done.returncode,
        # As much as AWS keeps (Systems Manager user guide: Understanding command statuses, output limits).
        "StandardOutputContent": done.stdout[:24000],
        "StandardErrorContent": done.stderr[:8000],
    }
