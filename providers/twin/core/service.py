"""ServiceInstance and the set of service objects that a door opens with."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from providers.twin.core.authorization import AuthorizationManager
from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.clock import moment
from providers.twin.core.collector import PropertyCollector
from providers.twin.core.meta import data, vim_type
from providers.twin.core.search import SearchIndex
from providers.twin.core.sessions import SessionManager
from providers.twin.core.tasks import TaskManager
from providers.twin.core.views import ViewManager

# ServiceContent field → wire type and id, of a vCenter, for what is named but not simulated: clients such as govc
# refuse an incomplete content, and a call on one of these says loudly that it is not simulated.
_NAMED = {
    "setting": ("OptionManager", "VpxSettings"), "userDirectory": ("UserDirectory", "UserDirectory"),
    "serviceManager": ("ServiceManager", "ServiceMgr"), "perfManager": ("PerformanceManager", "PerfMgr"),
    "scheduledTaskManager": ("ScheduledTaskManager", "ScheduledTaskManager"),
    "alarmManager": ("AlarmManager", "AlarmManager"), "eventManager": ("EventManager", "EventManager"),
    "extensionManager": ("ExtensionManager", "ExtensionManager"),
    "customizationSpecManager": ("CustomizationSpecManager", "CustomizationSpecManager"),
    "customFieldsManager": ("CustomFieldsManager", "CustomFieldsManager"),
    "diagnosticManager": ("DiagnosticManager", "DiagMgr"), "licenseManager": ("LicenseManager", "LicenseManager"),
    "fileManager": ("FileManager", "FileManager"), "virtualDiskManager": ("VirtualDiskManager", "virtualDiskManager"),
    "ovfManager": ("OvfManager", "OvfManager"), "ipPoolManager": ("IpPoolManager", "IpPoolManager"),
    "dvSwitchManager": ("DistributedVirtualSwitchManager", "DVSManager"),
    "hostProfileManager": ("HostProfileManager", "HostProfileManager"),
    "clusterProfileManager": ("ClusterProfileManager", "ClusterProfileManager"),
    "complianceManager": ("ProfileComplianceManager", "MoComplianceManager"),
    "localizationManager": ("LocalizationManager", "LocalizationManager"),
    "storageResourceManager": ("StorageResourceManager", "StorageResourceManager"),
    "guestOperationsManager": ("GuestOperationsManager", "guestOperationsManager"),
    "certificateManager": ("CertificateManager", "certificateManager"),
}
_HOST_ONLY_NAMED = {
    "licenseManager": ("LicenseManager", "ha-license-manager"), "perfManager": ("PerformanceManager", "ha-perfmgr"),
    "eventManager": ("EventManager", "ha-eventmgr"), "fileManager": ("FileManager", "ha-nfc-file-manager"),
    "diagnosticManager": ("DiagnosticManager", "ha-diagnosticmgr"),
    "userDirectory": ("UserDirectory", "ha-user-directory"),
    "serviceManager": ("ServiceManager", "ha-servicemanager"),
}


def vcenter_about(*, version: str, build: str, instance: str, api: str = "8.0.3.0") -> Any:
    """AboutInfo of a vCenter. `instance` is its instanceUuid."""
    return data(
        "AboutInfo", name="VMware vCenter Server", fullName=f"VMware vCenter Server {version} build-{build}",
        vendor="VMware, Inc.", version=version, patchLevel="00000", build=build, localeVersion="INTL",
        localeBuild="000", osType="linux-x64", productLineId="vpx", apiType="VirtualCenter", apiVersion=api,
        instanceUuid=instance, licenseProductName="VMware VirtualCenter Server",
        licenseProductVersion=version.rpartition(".")[0])


def host_about(*, version: str, build: str, api: str = "8.0.3.0") -> Any:
    """AboutInfo of a host at its own door."""
    return data(
        "AboutInfo", name="VMware ESXi", fullName=f"VMware ESXi {version} build-{build}", vendor="VMware, Inc.",
        version=version, build=build, localeVersion="INTL", localeBuild="000", osType="vmnix-x86",
        productLineId="embeddedEsx", apiType="HostAgent", apiVersion=api, licenseProductName="VMware ESX Server",
        licenseProductVersion=version.rpartition(".")[0])


@cache
def not_simulated_type(wire: str) -> type[ManagedObject]:
    """The class of an object that has an id and nothing else: each call on it raises NotSupported naming the member."""
    return type(f"NotSimulated{wire}", (ManagedObject,), {"wire": wire})


class ServiceInstance(ManagedObject):
    """`vim.ServiceInstance`: where every client starts. `about` is asked for at each reading."""

    wire = "ServiceInstance"

    def __init__(self, world: World, about: Any, members: dict[str, ManagedObject]) -> None:
        super().__init__(world, "ServiceInstance")
        self.about = about
        self.members = members  # field of ServiceContent → object

    @prop("content")
    @method("RetrieveServiceContent")
    def content(self) -> Any:
        about = self.about() if callable(self.about) else self.about
        return data("ServiceContent", about=about, **{name: each.ref() for name, each in self.members.items()})

    @prop("serverClock")
    @method("CurrentTime")
    def current_time(self) -> datetime:
        return moment(self.world.clock)

    @prop("capability")
    def capability(self) -> Any:
        return data("Capability", provisioningSupported=True, multiHostSupported=self.world.door == "vcenter",
                    userShellAccessSupported=False, supportedEVCMode=[], supportedEVCGraphicsMode=[])


def open_services(world: World, root: ManagedObject, about: Any, *, host: bool = False,
                  **members: ManagedObject) -> ServiceInstance:
    """Registers ServiceInstance and its service objects in a world, and returns it.

    `root` is the root folder (registered by the caller), `about` an AboutInfo or a function that makes one, `members`
    service objects of the house by ServiceContent field (`accountManager=…`, `setting=…`); registered here, too. Ids
    follow a vCenter, or a host's own door (`host=True`).
    """
    own: dict[str, ManagedObject] = {
        "propertyCollector": PropertyCollector(world, "ha-property-collector" if host else "propertyCollector"),
        "viewManager": ViewManager(world),
        "sessionManager": SessionManager(world, "ha-sessionmgr" if host else "SessionManager"),
        "authorizationManager": AuthorizationManager(world, "ha-authmgr" if host else "AuthorizationManager"),
        "taskManager": TaskManager(world, "ha-taskmgr" if host else "TaskManager"),
        "searchIndex": SearchIndex(world, root, "ha-searchindex" if host else "SearchIndex"),
    } | members
    for name, (wire, moid) in (_HOST_ONLY_NAMED if host else _NAMED).items():
        if name not in own:
            own[name] = not_simulated_type(wire)(world, moid)
    unknown = [name for name in own if name not in vim_type("ServiceContent")._propInfo]
    if unknown:
        raise ValueError(f"ServiceContent has no field {', '.join(unknown)}")
    made = ServiceInstance(world, about, {"rootFolder": root} | own)
    world.add(made, *(each for each in own.values() if world.find(each.moid) is not each))
    return made


def version_name(api: str = "8.0.3.0") -> str:
    """pyVmomi's name of an API version: "8.0.3.0" → "vim.version.v8_0_3_0". Raises KeyError for an unknown one."""
    from pyVmomi.VmomiSupport import versionMap

    return str(versionMap[f"vim25/{api}"])


