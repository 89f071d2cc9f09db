"""A catalogue for tests of the fleet language: the attributes of the real one, and operations that nothing calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from planner.catalog import Catalog, Operation, Program, ProgramInput, ResourceType
from planner.model import Attrs, Unknown
from planner.ports import Call
from planner.schema import Field, boolean, computed, integer, reference, secret, string, strings

NEWBORN = "read after birth"


def _run(_session: object, _call: Call) -> Attrs | None:
    raise AssertionError("tests of the fleet language call nothing")


def _operations(name: str) -> tuple[Operation, ...]:
    return (Operation(f"{name}.add", "Test.Add", "create", "adds", _run, inverse=f"{name}.remove"),
            Operation(f"{name}.remove", "Test.Remove", "delete", "removes", _run, inverse=f"{name}.add"))


def _program(_given: ProgramInput) -> Program:
    return Program()


def _cluster_rule(attributes: Attrs) -> Iterable[str]:
    if ("datacenter" in attributes) == ("folder" in attributes):
        yield "exactly one of datacenter and folder must be set"


def _host_rule(attributes: Attrs) -> Iterable[str]:
    if "datacenter" in attributes:
        yield "a standalone host (datacenter) is not supported in this version; set cluster"


def _vmkernel_rule(attributes: Attrs) -> Iterable[str]:
    if attributes.get("dhcp") is True:
        if "ip" in attributes or "netmask" in attributes:
            yield "dhcp: true and ip or netmask exclude each other"
    elif not ("ip" in attributes and "netmask" in attributes):
        yield "either dhcp: true, or both ip and netmask, must be set"


POLICY = ("on", "off", "automatic")
SERVICES = ("vmotion", "management", "vSphereProvisioning", "faultToleranceLogging", "vSphereReplication",
            "vSphereReplicationNFC", "vsan")


def _roots() -> list[ResourceType]:
    return [
        ResourceType("datacenter", "A datacenter.", {
            "name": string("its name"), "folder": reference("the folder that it is in", "folder"),
        }, _operations("datacenter"), 1),
        ResourceType("folder", "A folder.", {
            "name": string("its name"), "datacenter": reference("its datacenter", "datacenter"),
            "parent": reference("the folder above", "folder"),
            "kind": string("what is in it", default="host", always=True,
                           enum=("host", "vm", "datacenter", "network", "datastore")),
        }, _operations("folder"), 1),
        ResourceType("cluster", "A cluster.", {
            "name": string("its name"), "datacenter": reference("its datacenter", "datacenter"),
            "folder": reference("its folder", "folder"),
            "drs": Field("object", "DRS", fields={
                "enabled": boolean("whether it is on"),
                "automation": string("how much", enum=("manual", "partiallyAutomated", "fullyAutomated"))}),
            "ha": Field("object", "HA", fields={
                "enabled": boolean("whether it is on"), "admission_control": boolean("whether it is enforced")}),
            "moref": computed("the managed object reference"),
        }, _operations("cluster"), 2, validate=_cluster_rule),
        ResourceType("distributed_switch", "A distributed switch.", {
            "name": string("its name"), "datacenter": reference("its datacenter", "datacenter"),
            "mtu": integer("frame size", default=1500, check="mtu"),
        }, _operations("distributed_switch"), 2),
        ResourceType("distributed_portgroup", "A distributed port group.", {
            "name": string("its name"), "switch": reference("its switch", "distributed_switch", required=True),
        }, _operations("distributed_portgroup"), 2),
        ResourceType("host", "A host.", {
            "name": string("FQDN that AddHost uses", required=True, check="fqdn", replace=True),
            "mac": string("MAC address that it boots from", required=True, check="mac"),
            "cluster": reference("its cluster", "cluster"), "datacenter": reference("its datacenter", "datacenter"),
            "image": Field("image", "what it boots"), "root_password": secret("password of root"),
            "initial_root_password": secret("password of root at birth"),
            "birth": string("how it calls home", enum=("payload", "agentless")),
            "force": boolean("take it from another vCenter"),
        }, (), 2, program=_program, key="mac", unique=("name",), facts=("uuid", "ip", "serial"), validate=_host_rule),
    ]


def _children() -> list[ResourceType]:
    return [
        ResourceType("vswitch", "A standard switch.", {
            "uplinks": strings("its NICs", unordered=True), "mtu": integer("frame size", default=1500, check="mtu"),
            "ports": integer("number of ports", minimum=1, maximum=4096),
        }, _operations("vswitch"), 7, parent="host", distinct=("uplinks",), pool={"uplinks": "physical NIC"},
            baseline={"vSwitch0": {"uplinks": ["vmnic0"], "mtu": 1500}}),
        ResourceType("portgroup", "A port group.", {
            "vswitch": string("the switch that it is on", required=True, replace=True),
            "vlan": integer("VLAN id", default=0, check="vlan"),
        }, _operations("portgroup"), 7, parent="host", siblings={"vswitch": "vswitch"},
            baseline={"Management Network": {"vswitch": "vSwitch0", "vlan": 0},
                      "VM Network": {"vswitch": "vSwitch0", "vlan": 0}}),
        ResourceType("dvs", "Membership of a distributed switch.", {
            "switch": reference("the switch", "distributed_switch", required=True, replace=True),
            "uplinks": strings("its NICs", unordered=True),
        }, _operations("dvs"), 7, parent="host", distinct=("uplinks",), pool={"uplinks": "physical NIC"},
            known_by="switch"),
        ResourceType("vmkernel", "A vmkernel adapter.", {
            "portgroup": Field("string", "the port group that it is on", required=True, replace=True,
                               to=("distributed_portgroup",)),
            "dhcp": boolean("address by DHCP"), "ip": string("its address", check="ipv4"),
            "netmask": string("its netmask", check="netmask"), "mtu": integer("packet size", check="mtu"),
            "services": strings("what it carries", enum=SERVICES, unordered=True),
        }, _operations("vmkernel"), 7, parent="host", siblings={"portgroup": "portgroup"}, within={"mtu": "vswitch"},
            over={"portgroup": ("switch", "dvs")},
            unique=("ip",), distinct=("portgroup",),
            validate=_vmkernel_rule,
            baseline={"vmk0": {"portgroup": "Management Network", "dhcp": True, "ip": Unknown(NEWBORN)}}),
        ResourceType("nfs", "An NFS datastore.", {
            "server": string("the server", required=True, replace=True),
            "path": string("the exported path", required=True, replace=True),
            "version": string("NFS version", default="3", enum=("3", "4.1"), replace=True),
            "access": string("access", default="readWrite", enum=("readOnly", "readWrite"), replace=True),
        }, _operations("nfs"), 12, parent="host", shared=("server", "path", "version"), shared_within="datacenter"),
        ResourceType("dns", "DNS.", {
            "servers": strings("servers, in order", check="ip"), "domain": string("domain", check="hostname"),
            "hostname": string("host name", check="hostname"), "search": strings("search domains", check="hostname"),
        }, (), 5, parent="host", singleton=True, setting=True),
        ResourceType("ntp", "NTP.", {
            "servers": strings("servers, in order", required=True, check=""),
            "policy": string("start policy", default="on", always=True, enum=POLICY),
            "running": boolean("whether ntpd runs", default=True, always=True),
        }, (), 5, parent="host", singleton=True, setting=True, owns={"service": ("ntpd",)}),
        ResourceType("syslog", "Syslog.", {
            "targets": strings("targets, in order", required=True, check="syslog_target"),
            "firewall": boolean("open the firewall rule set", default=True, always=True),
        }, (), 6, parent="host", singleton=True, setting=True, owns={"option": ("Syslog.global.logHost",)}),
        ResourceType("service", "A service.", {
            "policy": string("start policy", enum=POLICY), "running": boolean("whether it runs"),
        }, (), 14, parent="host", setting=True),
        ResourceType("option", "An advanced option.", {
            "value": Field("scalar", "its value", required=True),
        }, (), 13, parent="host", setting=True, shorthand="value"),
    ]


def catalog() -> Catalog:
    """The catalogue, checked as at start-up."""
    return Catalog.of([*_roots(), *_children()])


BLOCKS: Mapping[str, Mapping[str, Field]] = {
    "vsphere": {
        "server": string("vCenter, or twin", required=True), "user": string("user"), "password": secret("password"),
        "ca_file": string("CA certificates", check="path"), "seed": string("seed of the twin", check="path"),
        "thumbprint": string("thumbprint"),
    },
    "boot": {
        "listen": string("address", check="ip"), "midwife": string("URL of the midwife", check="url"),
        "ports": Field("object", "ports", fields={
            "tftp": integer("TFTP", check="port"), "http": integer("HTTP", check="port"),
            "birth": integer("births", check="port")}),
    },
    "power": {},
}
"""Schemas of provider blocks."""
