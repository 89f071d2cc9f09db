"""VmwareDistributedVirtualSwitch, and how a folder makes one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data, field_types
from providers.twin.model import Host
from providers.twin.objects import dvs_members as members
from providers.twin.objects.base import EntityObject, check_name
from providers.twin.objects.network_faults import invalid
from providers.twin.parts.dvs import Dvpg, Dvs, Lag
from providers.twin.views import dvs as views

VERSIONS = ("6.6.0", "7.0.0", "7.0.2", "7.0.3", "8.0.0", "8.0.3")
"""What this vCenter makes; the last where nothing is said."""
BALANCES = ("srcMac", "destMac", "srcDestMac", "destIpVlan", "srcIpVlan", "srcDestIpVlan", "destTcpUdpPort",
            "srcTcpUdpPort", "srcDestTcpUdpPort", "destIpTcpUdpPort", "srcIpTcpUdpPort", "srcDestIpTcpUdpPort",
            "destIpTcpUdpPortVlan", "srcIpTcpUdpPortVlan", "srcDestIpTcpUdpPortVlan", "destIp", "srcIp", "srcDestIp",
            "vlan", "srcPortId")
_PLAYED = ("configVersion", "name", "uplinkPortPolicy", "host", "description", "contact", "maxMtu",
           "linkDiscoveryProtocolConfig", "lacpApiVersion", "dynamicType", "dynamicProperty")


class DvsFolder(EntityObject):
    """What a folder of networks does with distributed switches."""

    @method("CreateDVS_Task", mutates=True, task=True)
    def create_dvs(self, spec: Any) -> ManagedObject:
        if self.doc.holds != "network":
            raise vmodl.fault.NotSupported(msg=f"A {self.doc.holds} folder cannot hold a distributed switch.")
        wanted = check_name(spec.configSpec.name or "")
        self.house_child(self.moid, wanted)
        version = (spec.productInfo.version if spec.productInfo else None) or VERSIONS[-1]
        if version not in VERSIONS:
            raise vim.fault.NotFound(msg=f"This vCenter makes no distributed switch of version {version}.")
        inventory = self.house.inventory
        made = Dvs(inventory.new_id("dvs-"), wanted, self.moid, version=version, created=self.world.clock.now(),
                   uplinks=[f"Uplink {number}" for number in range(1, 5)])
        made.uuid = dvs_uuid(self.house.derived_uuid("dvs", made.id))
        configure(made, spec.configSpec, new=True)
        group = Dvpg(inventory.new_id("dvportgroup-"), f"{wanted}-DVUplinks-{made.id.removeprefix('dvs-')}",
                     self.moid, made.id, uplink=True)
        made.group = group.id
        inventory.put(made)
        inventory.put(group)
        return self.at(made.id)


def dvs_uuid(uuid: str) -> str:
    """In the form in which switches have them: "50 2e … -… 7a"."""
    digits = uuid.replace("-", "")
    pairs = [digits[at:at + 2] for at in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def configure(switch: Dvs, spec: Any, *, new: bool = False) -> None:
    """Bring a switch to its specification, all but its hosts and its name; unset parts stay as they are.

    Raises vmodl.fault.NotSupported for parts that the twin does not play, InvalidArgument, vim.fault.ResourceInUse.
    """
    for name in field_types(type(spec)):
        if getattr(spec, name) not in (None, []) and name not in _PLAYED:
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate {type(spec)._wsdlName}.{name}")
    mtu = getattr(spec, "maxMtu", None)
    if mtu is not None:
        if not 1280 <= mtu <= 9000:
            raise invalid("spec.maxMtu", "1280 to 9000.")
        switch.mtu = mtu
    if spec.uplinkPortPolicy is not None:
        _name_uplinks(switch, [str(each) for each in spec.uplinkPortPolicy.uplinkPortName])
    if spec.description is not None:
        switch.description = spec.description
    if spec.contact is not None:
        switch.contact, switch.details = spec.contact.name or "", spec.contact.contact or ""
    discovery = getattr(spec, "linkDiscoveryProtocolConfig", None)
    if discovery is not None:
        if discovery.protocol not in ("cdp", "lldp") or \
                discovery.operation not in ("none", "listen", "advertise", "both"):
            raise invalid("spec.linkDiscoveryProtocolConfig", f"{discovery.protocol}, {discovery.operation}")
        switch.protocol, switch.operation = discovery.protocol, discovery.operation
    lacp = getattr(spec, "lacpApiVersion", None)
    if lacp not in (None, "multipleLag"):
        raise vmodl.fault.NotSupported(msg=f"The twin plays multipleLag only, not {lacp}.")
    if not new:
        switch.serial += 1


def _name_uplinks(switch: Dvs, names: list[str]) -> None:
    """Uplinks are told by their place: one that is in use is renamed, or stays."""
    if not 1 <= len(names) <= 32 or len(set(names)) != len(names):
        raise invalid("spec.uplinkPortPolicy", "1 to 32 names, each once.")
    used = {key for each in switch.members.values() for key in each.uplinks.values()}
    for member in switch.members.values():
        kept = {new: member.ports[old] for old, new in zip(switch.uplinks, names, strict=False) if old in member.ports}
        gone = used & (set(member.ports.values()) - set(kept.values()))
        if gone:
            raise vim.fault.ResourceInUse(type=vim.DistributedVirtualSwitch, name=switch.name,
                                          msg="A physical NIC is on an uplink that would be removed.")
    for member in switch.members.values():
        member.ports = {new: member.ports[old] for old, new in zip(switch.uplinks, names, strict=False)
                        if old in member.ports}
    switch.uplinks = names


class DvsObject(EntityObject):
    """`vim.dvs.VmwareDistributedVirtualSwitch`."""

    wire = "VmwareDistributedVirtualSwitch"
    kind = Dvs

    def children(self) -> Iterable[ManagedObject]:
        return ()

    def _groups(self) -> list[Dvpg]:
        return members.groups_of(self.house, self.doc)

    def _hosts(self) -> list[Host]:
        found = (self.house.inventory.get(each, Host) for each in self.doc.members)
        return [each for each in found if each is not None]

    @prop("uuid")
    def uuid(self) -> str:
        return str(self.doc.uuid)

    @prop("portgroup")
    def portgroup(self) -> list[ManagedObject]:
        return self.objects(self._groups())

    @prop("capability")
    def capability(self) -> Any:
        return data("DVSCapability", dvsOperationSupported=True, dvPortGroupOperationSupported=True,
                    dvPortOperationSupported=True)

    @prop("summary.hostMember")
    def host_member(self) -> Any:
        return self.objects(self._hosts())

    @prop("summary")
    def summary(self) -> Any:
        doc, hosts = self.doc, [self.at(each.id).ref() for each in self._hosts()]
        return data("DVSSummary", name=doc.name, uuid=doc.uuid, numPorts=self._ports(), productInfo=views.product(doc),
                    hostMember=hosts, host=hosts, portgroupName=[each.name for each in self._groups()],
                    description=doc.description or None, contact=views.contact(doc), numHosts=len(hosts))

    def _ports(self) -> int:
        doc = self.doc
        return sum(each.ports for each in self._groups()) + len(doc.members) * len(doc.uplinks)

    def _status(self, host: Host) -> str:
        """Whether the host has what vCenter thinks it has."""
        if host.connection != "connected":
            return "disconnected"
        there = self.house.contact.seen(host).config.proxies.get(self.doc.uuid)
        return "up" if there is not None and there.uplinks == self.doc.members[host.id].uplinks else "outOfSync"

    @prop("config")
    def config(self) -> Any:
        doc = self.doc
        hosts = [data(
            "DistributedVirtualSwitchHostMember", status=self._status(each), productInfo=views.product(doc),
            uplinkPortKey=list(doc.members[each.id].ports.values()),
            config=data("DistributedVirtualSwitchHostMemberConfigInfo", host=self.at(each.id).ref(),
                        maxProxySwitchPorts=2147483647, backing=views.backing(doc.members[each.id].uplinks, doc.group)),
        ) for each in self._hosts()]
        return views.config(doc, self.at(doc.group).ref(), hosts, self._ports())

    @prop("config.configVersion")
    def config_version(self) -> str:
        return str(self.doc.serial)

    @prop("runtime")
    def runtime(self) -> Any:
        return data("DVSRuntimeInfo", hostMemberRuntime=[
            data("HostMemberRuntimeInfo", host=self.at(each.id).ref(), status=self._status(each))
            for each in self._hosts()])

    @prop("networkResourcePool")
    def pools(self) -> list[Any]:
        return []

    # --- changes ------------------------------------------------------------------------------------------

    def _push(self, switch: Dvs) -> None:
        members.push_all(self.house, switch, lambda identity: self.at(identity).ref())

    @method("ReconfigureDvs_Task", mutates=True, task=True, privilege="DVSwitch.Modify")
    def reconfigure(self, spec: Any) -> None:
        doc: Dvs = self.doc
        current(spec.configVersion, doc.serial, doc.name)
        if spec.name is not None and check_name(spec.name) != doc.name:
            raise vmodl.fault.NotSupported(msg="The twin renames a switch by Rename_Task only")
        hosts = list(spec.host)
        if len(hosts) > 1:
            raise vmodl.fault.NotSupported(msg="The twin takes one host in one ReconfigureDvs_Task")
        configure(doc, spec)
        for each in hosts:
            try:
                members.apply_host(self.house, doc, each, each.host)
            except Exception:
                doc.serial -= 1
                raise
            host = self.house.inventory.get(each.host._moId, Host)
            if host is not None:
                self.changes(host.name)
        self._push(doc)
        self.house.inventory.mark(doc)

    @method("EnableNetworkResourceManagement", mutates=True)
    def network_io_control(self, enable: bool) -> None:
        self.doc.managed = enable
        self.doc.serial += 1
        self.house.inventory.mark(self.doc)

    @method("UpdateDVSLacpGroupConfig_Task", mutates=True, task=True)
    def update_lags(self, lacpGroupSpec: Any) -> None:
        doc: Dvs = self.doc
        lags = dict(doc.lags)
        for each in lacpGroupSpec:
            self._lag(lags, each.operation, each.lacpGroupConfig)
        doc.lags = lags
        doc.serial += 1
        self._push(doc)
        self.house.inventory.mark(doc)

    def _lag(self, lags: dict[str, Lag], operation: str, config: Any) -> None:
        known = next((name for name, each in lags.items() if each.key == config.key), None)
        if operation == "add":
            if not config.name or config.name in lags:
                raise vim.fault.DvsFault(msg=f"There is a LAG {config.name!r} already, or it has no name.")
            known = str(config.name)
            lags[known] = Lag(f"lag-{self.doc.id}-{self.doc.next}-{known}")
        elif known is None:
            raise vim.fault.DvsFault(msg=f"There is no LAG {config.key!r} on {self.doc.name}.")
        used = {key for member in self.doc.members.values() for key in member.uplinks.values()}
        ports = [member.lags.get(known, {}) for member in self.doc.members.values()]
        if operation == "remove":
            if any(used & set(each.values()) for each in ports):
                raise vim.fault.DvsFault(msg=f"Physical NICs are on the LAG {known} of {self.doc.name}.")
            del lags[known]
            return
        found = lags[known] = Lag(**{name: getattr(lags[known], name) for name in Lag.__struct_fields__})
        if config.uplinkNum is not None:
            if not 1 <= config.uplinkNum <= 32 or any(
                    used & set(list(each.values())[config.uplinkNum:]) for each in ports):
                raise vim.fault.DvsFault(msg=f"The LAG {known} cannot have {config.uplinkNum} ports.")
            found.uplinks = config.uplinkNum
        if config.mode not in (None, "active", "passive") or config.loadbalanceAlgorithm not in (None, *BALANCES) \
                or config.timeoutMode not in (None, "fast", "slow"):
            raise invalid("lacpGroupSpec", f"{config.mode}, {config.loadbalanceAlgorithm}, {config.timeoutMode}")
        found.mode, found.balance = config.mode or found.mode, config.loadbalanceAlgorithm or found.balance
        found.timeout = config.timeoutMode or found.timeout

    @method("PerformDvsProductSpecOperation_Task", mutates=True, task=True)
    def product_operation(self, operation: str, productSpec: Any = None) -> None:
        doc: Dvs = self.doc
        if operation != "upgrade":
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate the product operation {operation}")
        wanted = (productSpec.version if productSpec else None) or VERSIONS[-1]
        if wanted not in VERSIONS or VERSIONS.index(wanted) <= VERSIONS.index(doc.version):
            raise vim.fault.DvsFault(msg=f"{doc.name} is of version {doc.version}: it cannot be upgraded to {wanted}.")
        number = tuple(map(int, wanted.split(".")))
        for host in self._hosts():
            version = self.house.contact.seen(host).version
            if tuple(int(p) for p in version.split(".")) < number:
                raise vim.fault.DvsFault(msg=f"{host.name} runs {version}: it cannot be in a switch of {wanted}.")
        doc.version = wanted
        doc.serial += 1
        self.house.inventory.mark(doc)

    @method("AddDVPortgroup_Task", mutates=True, task=True)
    def add_groups(self, spec: Any) -> None:
        from providers.twin.objects.dvportgroup import set_group

        doc, inventory = self.doc, self.house.inventory
        made: list[Dvpg] = []
        for each in spec:
            wanted = check_name(each.name or "")
            self.house_child(doc.parent, wanted)
            if any(group.name == wanted for group in made):
                raise vim.fault.DuplicateName(name=wanted, object=self.ref(), msg=f"The name {wanted} is given twice.")
            group = Dvpg("", wanted, doc.parent, doc.id)
            set_group(self.house, doc, group, each, new=True)
            made.append(group)
        for group in made:
            group.id = inventory.new_id("dvportgroup-")
            inventory.put(group)
        doc.serial += 1
        inventory.mark(doc)
        self._push(doc)

    @method("Rename_Task", mutates=True, task=True, privilege="DVSwitch.Modify")
    def rename(self, newName: str) -> None:
        if wanted := self.new_name(newName):
            self.house.inventory.rename(self.doc, wanted)
            self._push(self.doc)

    @method("Destroy_Task", mutates=True, task=True, privilege="DVSwitch.Delete")
    def destroy(self) -> None:
        used = [each.name for each in self._hosts()]
        used += [name for group in self._groups() for name in members.connected(self.house, group)]
        if used:
            raise vim.fault.ResourceInUse(type=vim.DistributedVirtualSwitch, name=self.name,
                                          msg=f"The distributed switch {self.name} is in use by {', '.join(used)}.")
        for group in self._groups():
            self.house.inventory.remove(group)
        self.house.inventory.remove(self.doc)


def current(given: str | None, serial: int, name: str) -> None:
    """Raises vim.fault.ConcurrentAccess where the caller has not seen the newest configuration."""
    if not given:
        raise invalid("spec.configVersion", "A reconfiguration names the version of the configuration that it changes.")
    if given != str(serial):
        raise vim.fault.ConcurrentAccess(
            msg=f"The configuration of {name} has changed meanwhile: it is at version {serial}, not {given}.")
