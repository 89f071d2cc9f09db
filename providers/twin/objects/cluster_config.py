"""ClusterConfigSpecEx and ClusterConfigInfoEx: what a reconfiguration does to a cluster, and what the cluster shows.

`ReconfigureComputeResource_Task` declares no fault: what a real server refuses comes as InvalidArgument.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.meta import data, field_types
from providers.twin.objects.drs_rules import change_groups, change_rules, group_info, rule_info
from providers.twin.parts.cluster import ClusterParts
from providers.twin.plain import from_plain, merge, prune, to_plain

if TYPE_CHECKING:
    from providers.twin.core.base import ManagedObject
    from providers.twin.house import House

_PLAYED = ("dasConfig", "drsConfig", "dpmConfig", "proactiveDrsConfig", "vmSwapPlacement", "groupSpec", "rulesSpec",
           "dynamicType", "dynamicProperty")
_SWAP = ("vmDirectory", "hostLocal")
_POLICIES = {"level": "ClusterFailoverLevelAdmissionControlPolicy",
             "percentage": "ClusterFailoverResourcesAdmissionControlPolicy",
             "hosts": "ClusterFailoverHostAdmissionControlPolicy"}


@cache
def das_defaults() -> model.Plain:
    """A new cluster's ClusterDasConfigInfo, less its admission control policy."""
    return {
        "enabled": False,
        "vmMonitoring": "vmMonitoringDisabled",
        "hostMonitoring": "enabled",
        "vmComponentProtecting": "disabled",
        "failoverLevel": 1,
        "admissionControlEnabled": True,
        "hBDatastoreCandidatePolicy": "allFeasibleDsWithUserPreference",
        "defaultVmSettings": {
            "restartPriority": "medium",
            "restartPriorityTimeout": -1,
            "isolationResponse": "none",
            "vmToolsMonitoringSettings": {
                "enabled": False, "vmMonitoring": "vmMonitoringDisabled", "clusterSettings": True,
                "failureInterval": 30, "minUpTime": 120, "maxFailures": 3, "maxFailureWindow": -1,
            },
            "vmComponentProtectionSettings": {
                "vmStorageProtectionForAPD": "disabled", "enableAPDTimeoutForHosts": False,
                "vmTerminateDelayForAPDSec": 180, "vmReactionOnAPDCleared": "none",
                "vmStorageProtectionForPDL": "disabled",
            },
        },
    }


@cache
def drs_defaults() -> model.Plain:
    """A new cluster's ClusterDrsConfigInfo."""
    return {
        "enabled": False,
        "enableVmBehaviorOverrides": True,
        "defaultVmBehavior": "fullyAutomated",
        "vmotionRate": 3,
        "scaleDescendantsShares": "disabled",
    }


@cache
def dpm_defaults() -> model.Plain:
    """A new cluster's ClusterDpmConfigInfo."""
    return {"enabled": False, "defaultDpmBehavior": "automated", "hostPowerActionRate": 3}


def policy_defaults() -> model.Plain:
    """A new cluster's admission control policy: it tolerates the loss of one host, by slots."""
    return {"_type": _POLICIES["level"], "failoverLevel": 1, "resourceReductionToToleratePercent": 100}


def refused(where: str, text: str) -> Exception:
    """vmodl.fault.InvalidArgument."""
    made: Exception = vmodl.fault.InvalidArgument(invalidProperty=where, msg=text)
    return made


def _says(value: Any) -> bool:
    """Whether a value asks for anything: a data object without a single set field does not (govc sends such ones)."""
    if not isinstance(value, vmodl.DynamicData):
        return value not in (None, [])
    return any(_says(getattr(value, name)) for name in field_types(type(value)))


# --- changing ---------------------------------------------------------------------------------------------


def reconfigure(house: House, cluster: model.Cluster, spec: Any, *, modify: bool) -> None:
    """Apply a ClusterConfigSpecEx, whole or not at all. Not `modify`: what the spec leaves out goes back to a new
    cluster's value.

    Raises vmodl.fault.NotSupported for parts that the twin does not play, InvalidArgument for values that a server
    does not take.
    """
    if not isinstance(spec, vim.cluster.ConfigSpecEx):
        raise refused("spec", f"a cluster takes a ClusterConfigSpecEx, not a {type(spec)._wsdlName}")
    for name in field_types(type(spec)):
        if _says(getattr(spec, name)) and name not in _PLAYED:
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate ClusterConfigSpecEx.{name}")
    _check(spec)
    das, drs = (dict(each) if modify else {} for each in (cluster.das, cluster.drs))
    parts = msgspec.convert(msgspec.to_builtins(cluster.parts), ClusterParts)
    if not modify:
        parts = ClusterParts(evc=parts.evc, keys=parts.keys)
    if spec.dasConfig is not None:
        das = _das(house, cluster, das, parts, spec.dasConfig)
    if spec.drsConfig is not None:
        drs = _with_options(drs, to_plain(spec.drsConfig), drs_defaults())
    if spec.dpmConfig is not None:
        parts.dpm = _with_options(parts.dpm, to_plain(spec.dpmConfig), dpm_defaults())
    if spec.proactiveDrsConfig is not None and spec.proactiveDrsConfig.enabled is not None:
        parts.predictive = bool(spec.proactiveDrsConfig.enabled)
    if spec.vmSwapPlacement is not None:
        parts.swap = str(spec.vmSwapPlacement)
    change_groups(house, cluster, parts, spec.groupSpec)
    change_rules(house, cluster, parts, spec.rulesSpec)
    cluster.das, cluster.drs, cluster.parts = prune(das, das_defaults()), prune(drs, drs_defaults()), parts


def _check(spec: Any) -> None:
    for config, field in ((spec.drsConfig, "vmotionRate"), (spec.dpmConfig, "hostPowerActionRate")):
        rate = getattr(config, field, None)
        if rate is not None and not 1 <= rate <= 5:
            raise refused(field, f"{field} is 1 to 5, not {rate}.")
    if spec.vmSwapPlacement is not None and spec.vmSwapPlacement not in _SWAP:
        raise refused("vmSwapPlacement", f"A cluster's swap placement is {' or '.join(_SWAP)}.")


def _with_options(before: model.Plain, given: model.Plain, defaults: model.Plain) -> model.Plain:
    """Merged; advanced options go by key, and one with an empty value is taken away."""
    options = {each["key"]: each for each in before.get("option", ())}
    for each in given.pop("option", ()):
        if each.get("value") in ("", None):
            options.pop(each["key"], None)
        else:
            options[each["key"]] = each
    merged = prune(merge(before, given), defaults)
    merged.pop("option", None)
    return {**merged, "option": [options[key] for key in sorted(options)]} if options else merged


def _das(house: House, cluster: model.Cluster, before: model.Plain, parts: ClusterParts, spec: Any) -> model.Plain:
    from providers.twin.core.meta import copy_value

    given = copy_value(spec)
    if given.heartbeatDatastore:
        parts.heartbeat = [_store(house, cluster, each) for each in given.heartbeatDatastore]
    if given.admissionControlPolicy is not None:
        _policy(house, cluster, parts, given.admissionControlPolicy)
    given.admissionControlPolicy, given.heartbeatDatastore = None, []
    known: Any = getattr(vim.cluster.DasConfigInfo.HBDatastoreCandidate, "values")  # noqa: B009 - not in its stubs
    if given.hBDatastoreCandidatePolicy not in (None, *known):
        raise refused("hBDatastoreCandidatePolicy", f"{given.hBDatastoreCandidatePolicy!r} is none of {known}.")
    return _with_options(before, to_plain(given), das_defaults())


def _store(house: House, cluster: model.Cluster, ref: Any) -> str:
    found = house.inventory.get(ref._moId, model.Datastore)
    users = {each.parent for each in house.inventory.users(ref._moId)}
    if found is None or cluster.id not in users:
        raise refused("heartbeatDatastore", f"No host of {cluster.name} has the datastore {ref._moId}.")
    return found.id


def _policy(house: House, cluster: model.Cluster, parts: ClusterParts, policy: Any) -> None:
    hosts = list(getattr(policy, "failoverHosts", None) or ())
    for each in hosts:
        found = house.inventory.get(each._moId, model.Host)
        if found is None or found.parent != cluster.id:
            raise refused("failoverHosts", f"{each._moId} is no host of {cluster.name}.")
    for field in ("cpuFailoverResourcesPercent", "memoryFailoverResourcesPercent",
                  "resourceReductionToToleratePercent"):
        value = getattr(policy, field, None)
        if value is not None and not 0 <= value <= 100:
            raise refused(field, f"{field} is a percentage, not {value}.")
    if type(policy)._wsdlName not in _POLICIES.values():
        raise refused("admissionControlPolicy", f"{type(policy)._wsdlName} is no admission control policy.")
    if hosts:
        policy.failoverHosts = []
    plain = to_plain(policy)
    kept = {"_type": type(policy)._wsdlName, "failoverLevel": 1, "resourceReductionToToleratePercent": 100, **plain}
    parts.failover = [each._moId for each in hosts]
    parts.policy = {} if kept == policy_defaults() else kept


# --- showing ----------------------------------------------------------------------------------------------


class ClusterViews:
    """The parts of ClusterConfigInfoEx, for ClusterObject `at`."""

    def __init__(self, at: ManagedObject, cluster: model.Cluster) -> None:
        self._at, self._cluster = at, cluster

    def _refs(self, ids: list[str]) -> list[Any]:
        found = (self._at.world.find(each) for each in ids)
        return [each.ref() for each in found if each is not None]

    def das(self) -> Any:
        parts = self._cluster.parts
        info = from_plain(vim.cluster.DasConfigInfo, merge(das_defaults(), self._cluster.das))
        policy = from_plain(vim.cluster.DasAdmissionControlPolicy, parts.policy or policy_defaults())
        if isinstance(policy, vim.cluster.FailoverHostAdmissionControlPolicy):
            policy.failoverHosts = self._refs(parts.failover)
        info.admissionControlPolicy, info.heartbeatDatastore = policy, self._refs(parts.heartbeat)
        return info

    def drs(self) -> Any:
        return from_plain(vim.cluster.DrsConfigInfo, merge(drs_defaults(), self._cluster.drs))

    def dpm(self) -> Any:
        return from_plain(vim.cluster.DpmConfigInfo, merge(dpm_defaults(), self._cluster.parts.dpm))

    def proactive(self) -> Any:
        return data("ClusterProactiveDrsConfigInfo", enabled=self._cluster.parts.predictive)

    def groups(self) -> list[Any]:
        return [group_info(name, each, self._refs(each.members)) for name, each in self._cluster.parts.groups.items()]

    def rules(self) -> list[Any]:
        return [rule_info(self._cluster.id, name, each, self._refs(each.vms))
                for name, each in self._cluster.parts.rules.items()]

    def whole(self) -> Any:
        return data("ClusterConfigInfoEx", dasConfig=self.das(), drsConfig=self.drs(), dpmConfigInfo=self.dpm(),
                    proactiveDrsConfig=self.proactive(), group=self.groups(), rule=self.rules(),
                    vmSwapPlacement=self._cluster.parts.swap)
