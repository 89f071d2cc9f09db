"""Host: a member of a cluster, from its birth to its removal. What hangs on it are resource types of their own."""

from __future__ import annotations

from planner.catalog import Operation, ResourceType
from planner.schema import Field, boolean, reference, secret, string
from providers.vsphere.dvs import membership
from providers.vsphere.host import door, lost_vms
from providers.vsphere.host import operations as do
from providers.vsphere.host.install import validate
from providers.vsphere.host.program import program
from providers.vsphere.host.residue import unknown_file
from providers.vsphere.host.storage import SCANS

_STAYS = "it stays connected"
_FORGOTTEN = ("its statistics, the history of its events, alarms, permissions and custom values set on it, its place "
              "in distributed switches and DRS groups")
_REGISTRATION = "its permissions, alarms, statistics and tags; it comes back in the root pool, no longer orphaned"

INSTALL = {
    "disk": string("first; firstdisk=local,usb (the first that fits, in that order; a model or a driver fits, too); or "
                   "a device by its name (mpx.vmhba0:C0:T0:L0, naa.…, t10.…, eui.…, vml.…).", required=True),
    "overwrite_vmfs": boolean("Overwrite a VMFS datastore that is on the disk; else it is kept, and all else is "
                              "overwritten."),
    "datastore": boolean("Make a VMFS datastore of what is left of the disk: true where unset."),
}

HOST = ResourceType(
    name="host",
    doc="An ESXi host: booted from the network, added to its cluster, configured.",
    order=2,
    fields={
        "name": Field("string", "FQDN by which vCenter adds it; a change is a replacement.", required=True,
                      check="fqdn", replace=True),
        "mac": string("MAC of the NIC that it boots from.", check="mac"),
        "boot_address": Field("string", "IPv4 address that DHCP reserves for it; one of the range where unset.",
                              check="ipv4", observed=False),
        "cluster": reference("The cluster that it belongs to. Another one is a move.", "cluster"),
        "datacenter": Field("ref", "For a standalone host (not supported in this version).", to=("datacenter",),
                            observed=False),
        "image": Field("image", "The image that it boots.", observed=False),
        "root_password": secret("Root's password; set at the host's own door after birth."),
        "initial_root_password": secret("Root's password right after birth; empty where unset."),
        "netboot": Field("string", "standing: it boots its image every time (the default). once: this time only, and "
                         "from its own disk ever after.", enum=("standing", "once"), observed=False),
        "install": Field("object", "The image's installer puts it on a disk, once; whatever was there is lost.",
                         observed=False, fields=INSTALL),
        "birth": Field("string", "How its birth is noticed: payload (the default), or agentless (Secure Boot runs no "
                       "payload): its certificate is then trusted on first use.",
                       enum=("payload", "agentless"), observed=False),
        "orphans": Field("string", "What becomes of VMs that vCenter calls orphaned on it: keep (the default) only "
                         "names them; unregister takes them out of vCenter, a step each. Never their files.",
                         enum=("keep", "unregister"), observed=False),
        "unregister_vms": Field("list", "Names of orphaned or inaccessible VMs on it that leave vCenter; while they "
                                "are neither, they stay.", items=Field("string", "A VM's name."), unordered=True,
                                observed=False),
        "force": Field("bool", "Take the host over from another vCenter.", observed=False),
    },
    key="mac",
    unique=("name", "boot_address"),
    label_doc="the host's label; with for_each its key",
    program=program,
    validate=validate,
    facts=("uuid", "serial", "ip", "certificate", "thumbprint", "version", "build", "image", "born", "boot_time",
           "staged", "boots", "installs", "disk", "agentless", "joined", "door_maintenance", "password", "connection",
           "in_maintenance"),
    operations=(
        Operation("door.enter_maintenance", "HostSystem.EnterMaintenanceMode_Task", "act",
                  "Enter maintenance mode, at the host's own door.", door.enter_maintenance,
                  inverse="door.exit_maintenance", observe=door.observe_maintenance, birth="door"),
        Operation("door.exit_maintenance", "HostSystem.ExitMaintenanceMode_Task", "act",
                  "Leave maintenance mode, at the host's own door.", door.exit_maintenance,
                  inverse="door.enter_maintenance", observe=door.observe_maintenance, birth="door"),
        Operation("door.set_password", "HostLocalAccountManager.UpdateUser", "act",
                  "Set root's password, at the host's own door.", door.set_password,
                  irreversible="the first password is gone", observe=door.observe_password, birth="door"),
        Operation("host.add", "ClusterComputeResource.AddHost_Task", "act",
                  "Add the host to its cluster, by the certificate that its birth brought.", do.add,
                  ("name", "mac", "cluster"), inverse="host.remove", window="maintenance", observe=do.observe_host,
                  birth="taken", privileges=("Host.Inventory.AddHostToCluster",)),
        Operation("host.remove", "HostSystem.Destroy_Task", "act",
                  "Remove the host from vCenter; refused unless it is in maintenance mode and without VMs.", do.remove,
                  inverse="host.add", loses=_FORGOTTEN, window="maintenance", observe=do.observe_host,
                  privileges=("Host.Inventory.RemoveHostFromCluster",)),
        Operation("host.remove_dead", "HostSystem.Destroy_Task", "act",
                  "Remove a host that is gone from vCenter.", do.remove_dead,
                  irreversible=f"vCenter forgets the host: {_FORGOTTEN}, and the registration of its VMs",
                  observe=do.observe_host, privileges=("Host.Inventory.RemoveHostFromCluster",)),
        Operation("host.disconnect", "HostSystem.DisconnectHost_Task", "act",
                  "Let vCenter give up its dead connection.", do.disconnect, irreversible=_STAYS,
                  observe=do.observe_disconnected, privileges=("Host.Config.Connection",)),
        Operation("host.reconnect", "HostSystem.ReconnectHost_Task", "act",
                  "Reconnect the reborn host; statistics, alarms and permissions stay.", do.reconnect,
                  irreversible=_STAYS, observe=do.observe_reconnected, birth="taken",
                  privileges=("Host.Config.Connection",)),
        Operation("host.leave_switch", "VmwareDistributedVirtualSwitch.ReconfigureDvs_Task", "act",
                  "Take the reborn host, which has lost its part of the distributed switch, out of it.",
                  membership.leave, irreversible="what the host had of the switch went with its reboot; declared, it "
                  "joins again", observe=membership.observe, settles={"member_of": None},
                  privileges=("Host.Config.Network",)),
        Operation("host.enter_maintenance", "HostSystem.EnterMaintenanceMode_Task", "act",
                  "Enter maintenance mode: running VMs are moved away.", do.enter_maintenance,
                  inverse="host.exit_maintenance", disruptive="moves running VMs to other hosts",
                  timeout=1800.0, observe=do.observe_maintenance, privileges=("Host.Config.Maintenance",)),
        Operation("host.exit_maintenance", "HostSystem.ExitMaintenanceMode_Task", "act",
                  "Leave maintenance mode: VMs may land on it.", do.exit_maintenance,
                  inverse="host.enter_maintenance", observe=do.observe_maintenance,
                  settles={"door_maintenance": None},  # it is one mode, whichever door it was entered by
                  privileges=("Host.Config.Maintenance",)),
        Operation("host.evacuate", "HostSystem.EnterMaintenanceMode_Task", "act",
                  "Enter maintenance mode, as the only host of its cluster that is out: running VMs are moved away.",
                  do.evacuate, inverse="host.exit_maintenance", disruptive="moves running VMs to other hosts",
                  timeout=3600.0, observe=do.observe_maintenance, privileges=("Host.Config.Maintenance",)),
        Operation("host.reboot", "HostSystem.RebootHost_Task", "act",
                  "Restart the host: it boots what is staged for it.", do.reboot,
                  irreversible="what was configured in that boot is gone with it",
                  disruptive="restarts the host", observe=do.observe_rebooted, birth="restart",
                  settles={"rebooted": None}, privileges=("Host.Config.Maintenance",)),
        Operation("host.move", "ClusterComputeResource.MoveInto_Task", "act", "Move the host to another cluster.",
                  do.move, ("cluster",), inverse="host.move", window="maintenance", observe=do.observe_host,
                  privileges=("Host.Inventory.EditCluster", "Host.Inventory.MoveHost")),
        Operation("host.unregister_vm", "VirtualMachine.UnregisterVM", "act",
                  "Take a VM that vCenter has lost out of its inventory; its files stay.", lost_vms.unregister,
                  inverse="host.register_vm", irreversible=unknown_file, loses=_REGISTRATION, observe=lost_vms.observe,
                  privileges=("VirtualMachine.Inventory.Unregister",)),
        Operation("host.register_vm", "Folder.RegisterVM_Task", "act", "Register the VM again, by its file.",
                  lost_vms.register, inverse="host.unregister_vm", observe=lost_vms.observe,
                  privileges=("VirtualMachine.Inventory.Register",)),
        Operation("host.verify", "read back", "act", "Read the host back: everything must be as declared.", do.verify,
                  kind="verify"),
        Operation("host.verify_kept", "read back", "act", "Read the host back: everything must be as declared. It "
                  "stays in maintenance mode, as somebody had put it.", do.verify, kind="verify",
                  settles={"door_maintenance": None}),
        *SCANS,
    ),
    tested=("twin", "vcsim"),
)
