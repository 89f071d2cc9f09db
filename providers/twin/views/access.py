"""Views of who may do what, and how the twin shows secrets: as marks that it knows again, never as themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from providers.twin.core.meta import data
from providers.twin.model import HostConfig, Hypervisor
from providers.twin.parts.access import Snmp, TrapTarget

EVALUATION = "00000-00000-00000-00000-00000"
SYSTEM_USERS = ("dcui", "vpxuser")
ADMIN, NONE = "accessAdmin", "accessNone"
_MARK = "twin-"


def masked(secret: str) -> str:
    """The mark that stands for a community string; a mark stands for itself, so that what was read can be written."""
    return secret if secret.startswith(_MARK) else _MARK + hashlib.sha256(f"snmp/{secret}".encode()).hexdigest()[:24]


def license_mark(key: str) -> str:
    """How a licence key is shown: four groups that derive from it, and its own last five characters."""
    if key == EVALUATION:
        return key
    digest = hashlib.sha256(f"licence/{key}".encode()).hexdigest().upper()
    return "-".join([*(digest[i:i + 5] for i in (0, 5, 10, 15)), key[-5:]])


# --- a host's -----------------------------------------------------------------------------------------------


def modes(hypervisor: Hypervisor) -> dict[str, str]:
    """Principal → HostAccessMode, as if there were no lockdown."""
    found = {"root": ADMIN, "dcui": ADMIN} | ({"vpxuser": ADMIN} if hypervisor.manager else {})
    return {k: v for k, v in (found | hypervisor.config.access.modes).items() if v != NONE}


def access_entries(hypervisor: Hypervisor) -> list[Any]:
    """HostAccessControlEntry of everybody with a permission now. Lockdown takes away those of all but the exceptions
    and the system's users (HostAccessManager.ChangeLockdownMode)."""
    access = hypervisor.config.access
    kept = None if access.lockdown == "lockdownDisabled" else {*access.exceptions, *SYSTEM_USERS}
    return [data("HostAccessControlEntry", principal=name, group=False, accessMode=mode)
            for name, mode in sorted(modes(hypervisor).items()) if kept is None or name in kept]


def snmp(found: Snmp) -> Any:
    """HostSnmpConfigSpec."""
    return data("HostSnmpConfigSpec", enabled=found.enabled, port=found.port,
                readOnlyCommunities=list(found.communities), trapTargets=[_target(each) for each in found.targets])


def _target(found: TrapTarget) -> Any:
    return data("HostSnmpDestination", hostName=found.host, port=found.port, community=found.community)


def store_info(config: HostConfig) -> Any:
    """HostActiveDirectoryInfo."""
    domain = config.access.domain
    return data("HostActiveDirectoryInfo", enabled=bool(domain), joinedDomain=domain.upper() or None,
                trustedDomain=[], domainMembershipStatus="ok" if domain else None,
                smartCardAuthenticationEnabled=False)


def authentication_info(config: HostConfig) -> Any:
    """HostAuthenticationManagerInfo."""
    return data("HostAuthenticationManagerInfo", authConfig=[
        data("HostLocalAuthenticationInfo", enabled=True), store_info(config)])


# --- vCenter's ----------------------------------------------------------------------------------------------


def license_info(key: str) -> Any:
    """LicenseManagerLicenseInfo of a key as it is shown."""
    if key == EVALUATION:
        return data("LicenseManagerLicenseInfo", licenseKey=key, editionKey="eval", name="Evaluation Mode", total=0,
                    costUnit="")
    return data("LicenseManagerLicenseInfo", licenseKey=key, editionKey="esx.enterprisePlus.cpuPackageCoreLimited",
                name="vSphere 8 Enterprise Plus", total=0, costUnit="cpuPackage")


def values(found: Iterable[tuple[int, str]]) -> list[Any]:
    """CustomFieldStringValue by field key."""
    return [data("CustomFieldStringValue", key=key, value=value) for key, value in found if value]
