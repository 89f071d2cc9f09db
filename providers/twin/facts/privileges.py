"""Privileges that roles are made of and that no method's metadata asks for (VMware's "Defined Privileges" reference).

The metadata names a privilege where a method always needs it. These depend on the entity or on the argument (Rename,
Destroy, a reconfiguration), or belong to services beside the SOAP API (tags, content libraries).
"""

from __future__ import annotations

_GROUPS = """
Authorization: ModifyPermissions ModifyPrivileges
ContentLibrary: AddLibraryItem AddSubscription CheckInTemplate CheckOutTemplate CreateLocalLibrary
ContentLibrary: CreateSubscribedLibrary DeleteLibraryItem DeleteLocalLibrary DeleteSubscribedLibrary DeleteSubscription
ContentLibrary: DownloadSession EvictLibraryItem EvictSubscribedLibrary GetConfiguration ImportStorage ProbeSubscription
ContentLibrary: PublishLibrary PublishLibraryItem ReadStorage SyncLibrary SyncLibraryItem TypeIntrospection
ContentLibrary: UpdateConfiguration UpdateLibrary UpdateLibraryItem UpdateLocalLibrary UpdateSession
ContentLibrary: UpdateSubscribedLibrary UpdateSubscription
Cryptographer: Access AddDisk Clone Decrypt Encrypt EncryptNew ManageEncryptionPolicy Migrate ReadKeyServersInfo Recrypt
DVPortgroup: Delete Modify PolicyOp ScopeOp
DVSwitch: HostOp Move PolicyOp PortSetting Vspan
Datacenter: Create Delete Move Rename
Datastore: Browse ConfigIOManagement Delete Move Rename UpdateVirtualMachineMetadata
Folder: Create Delete Move Rename
Global: CancelTask CapacityPlanning DisableMethods EnableMethods GlobalTag Health Proxy ScriptAction SetCustomField
Global: SystemTag
Host.Config: GuestStore Quarantine Snmp SystemManagement
Host.Hbr: HbrManagement
Host.Inventory: AddHostToCluster AddStandaloneHost CreateCluster DeleteCluster EditCluster MoveCluster MoveHost
Host.Inventory: RemoveHostFromCluster RenameCluster
Host.Local: CreateVM DeleteVM InstallAgent ReconfigVM
InventoryService.Tagging: AttachTag CreateCategory CreateTag DeleteCategory DeleteTag EditCategory EditTag
InventoryService.Tagging: ModifyUsedByForCategory ModifyUsedByForTag ObjectAttachable
Network: Config Delete Move
Resource: ApplyRecommendation AssignVAppToPool DeletePool HotMigrate MovePool RenamePool
VApp: ApplicationConfig AssignResourcePool AssignVApp AssignVM Delete InstanceConfig ManagedByConfig Move Rename
VApp: ResourceConfig
VirtualMachine.Config: AddNewDisk AddRemoveDevice AdvancedConfig Annotation CPUCount ChangeTracking DiskExtend DiskLease
VirtualMachine.Config: EditDevice HostUSBDevice ManagedBy Memory MksControl RawDevice Rename Resource SwapPlacement
VirtualMachine.Config: ToggleForkParent
VirtualMachine.Hbr: ConfigureReplication MonitorReplication ReplicaManagement
VirtualMachine.Interact: Backup DeviceConnection DnD Pause SESparseMaintenance SetCDMedia SetFloppyMedia SuspendToMemory
VirtualMachine.Inventory: CreateFromExisting Move Unregister
VirtualMachine.Namespace: Event EventNotify Management ModifyContent Query ReadContent
VirtualMachine.Provisioning: CloneTemplate CreateTemplateFromVM DeployTemplate DiskRandomAccess FileRandomAccess
VirtualMachine.Provisioning: GetVmFiles PutVmFiles
"""


def documented() -> frozenset[str]:
    """Their ids: "Datastore.Browse"."""
    lines = (line.partition(": ") for line in _GROUPS.strip().splitlines())
    return frozenset(f"{group}.{name}" for group, _, names in lines for name in names.split())
