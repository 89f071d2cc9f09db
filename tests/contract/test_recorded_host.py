"""The recorded ESXi 8.0.3 host through the readers of the resource types.

What they read is compared with the recorded bytes themselves, by another parser than theirs (ElementTree, by paths
written by hand), and each value with the type's own schema: what a real host shows must be what a fleet file may say.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from pyVmomi.SoapAdapter import SoapResponseDeserializer

from planner.catalog import ResourceType
from planner.config.checks import RANGES
from planner.model import Unknown
from planner.schema import Field
from providers.twin.soap.request import parse_request
from tests.contract.test_recordings import BODY, FOLDER, _interactions
from tests.support.lab import CATALOG

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded vCenter answers: the folder {FOLDER.name} is not beside the repository")

VIM = "{urn:vim25}"
READ = [t for t in CATALOG.children() if t.read is not None]


# --- the recording, twice -------------------------------------------------------------------------------------


@functools.cache
def answers() -> dict[str, str]:
    """Property of the recorded host → the body of its answer."""
    found = {}
    for asked, answered in _interactions("test_json_host_explode"):
        request = parse_request(asked.encode())
        if request.method == "Fetch" and request.wire == "HostSystem":
            found[request.arguments["prop"]] = answered
    return found


@functools.cache
def typed(prop: str) -> Any:
    return SoapResponseDeserializer(None).Deserialize(answers()[prop].encode(), object)


@functools.cache
def raw(prop: str) -> ElementTree.Element:
    """The value's own element."""
    body = ElementTree.fromstring(answers()[prop]).find(BODY)
    assert body is not None
    value = body[0].find(f"{VIM}returnval")
    assert value is not None
    return value


def elements(path: str, below: ElementTree.Element | None = None) -> list[ElementTree.Element]:
    """Elements by a path from the property on (`config/network/vswitch`), or from an element on."""
    if below is None:
        prop, _, path = path.partition("/")
        below = raw(prop)
    return below.findall("/".join(f"{VIM}{part}" if part[0].isalpha() else part for part in path.split("/")))


def text(path: str, below: ElementTree.Element | None = None) -> str:
    (found,) = elements(path, below)
    return found.text or ""


def texts(path: str, below: ElementTree.Element | None = None) -> list[str]:
    return [each.text or "" for each in elements(path, below)]


def by(path: str, key: str, value: str) -> ElementTree.Element:
    """The one element of an array whose child `key` says `value`."""
    (found,) = [each for each in elements(path) if text(key, each) == value]
    return found


def value_at(path: str) -> Any:
    """The typed value under a HostSystem property path; None where a part is unset."""
    first, *rest = path.split(".")
    value = typed(first) if first in answers() else None
    for part in rest:
        value = getattr(value, part, None)
    return value


def read(rtype: ResourceType, *names: str) -> Mapping[str, Any]:
    """What the type's reader makes of the recorded host. What it would ask of managers is not recorded."""
    props = {path: found for path in rtype.paths if (found := value_at(path)) is not None}
    wanted = frozenset(names) or frozenset(rtype.baseline) - {"*"}
    assert rtype.read is not None
    return rtype.read(props, wanted)


def of(name: str, *names: str) -> Any:
    """The attributes of a singleton, or of the one object named."""
    found = read(CATALOG.types[name], *names)
    return found[names[0] if names else name]


# --- values, against the bytes --------------------------------------------------------------------------------


def _option(key: str) -> str:
    return text("value", by("config/option", "key", key))


def _rule(key: str) -> ElementTree.Element:
    return by("config/firewall/ruleset", "key", key)


def _service(key: str) -> list[Any]:
    found = by("config/service/service", "key", key)
    return [text("policy", found), text("running", found) == "true"]


def _vswitches() -> list[Any]:
    return sorted([text("name", s), int(text("mtu", s)), [p.rpartition("-")[2] for p in texts("pnic", s)]]
                  for s in elements("config/network/vswitch"))


def _vmks() -> list[Any]:
    return sorted([text("device", v), text("portgroup", v), text("spec/ip/ipAddress", v), text("spec/ip/subnetMask", v),
                   int(text("spec/mtu", v))] for v in elements("config/network/vnic"))


def _read_vswitches() -> list[Any]:
    return sorted([name, s["mtu"], list(s["uplinks"])] for name, s in read(CATALOG.types["vswitch"]).items())


def _read_vmks() -> list[Any]:
    found = read(CATALOG.types["vmkernel"])
    return sorted([name, v["portgroup"], v["ip"], v["netmask"], v["mtu"]] for name, v in found.items())


def _tagged(nic_type: str) -> set[str]:
    config = by("config/virtualNicManagerInfo/netConfig", "nicType", nic_type)
    return {each.rpartition("-")[2] for each in texts("selectedVnic", config)}


def _read_tagged(service: str) -> set[str]:
    return {name for name, v in read(CATALOG.types["vmkernel"]).items() if service in v["services"]}


def _read_rule(key: str) -> list[Any]:
    found = of("firewall", key)
    return [found["enabled"], list(found["allowed"])]


def _recorded_rule(key: str) -> list[Any]:
    hosts = _rule(key)
    everybody = text("allowedHosts/allIp", hosts) == "true"
    return [text("enabled", hosts) == "true", ["all"] if everybody else texts("allowedHosts/ipAddress", hosts)]


Sides = tuple[Callable[[], Any], Callable[[], Any]]
"""What the reader says; what the bytes say."""

VALUES: Mapping[str, tuple[Sides, ...]] = {
    "dns": (
        (lambda: list(of("dns")["servers"]), lambda: texts("config/network/dnsConfig/address")),
        (lambda: [of("dns")["hostname"], of("dns")["domain"], of("dns")["dhcp"]],
         lambda: [text("config/network/dnsConfig/hostName"), text("config/network/dnsConfig/domainName"),
                  text("config/network/dnsConfig/dhcp") == "true"])),
    "ntp": (
        (lambda: list(of("ntp")["servers"]), lambda: texts("config/dateTimeInfo/ntpConfig/server")),
        (lambda: [of("ntp")["policy"], of("ntp")["running"]], lambda: _service("ntpd"))),
    "syslog": (
        (lambda: [str(t) for t in of("syslog")["targets"]],
         lambda: [t for t in _option("Syslog.global.logHost").split(",") if t]),
        (lambda: of("syslog")["firewall"], lambda: text("enabled", _rule("syslog")) == "true")),
    "vswitch": ((_read_vswitches, _vswitches),),
    "portgroup": (
        (lambda: sorted([name, g["vswitch"], g["vlan"]] for name, g in read(CATALOG.types["portgroup"]).items()),
         lambda: sorted([text("spec/name", g), text("spec/vswitchName", g), int(text("spec/vlanId", g))]
                        for g in elements("config/network/portgroup"))),),
    "vmkernel": (
        (_read_vmks, _vmks),
        *((functools.partial(_read_tagged, service), functools.partial(_tagged, service))
          for service in ("management", "vmotion", "vsan"))),
    "option": (
        (lambda: str(of("option", "UserVars.SuppressShellWarning")["value"]),
         lambda: _option("UserVars.SuppressShellWarning")),
        (lambda: of("option", "Config.HostAgent.log.level")["value"],
         lambda: _option("Config.HostAgent.log.level"))),
    "service": (
        (lambda: [[a["policy"], a["running"]] for a in (of("service", "DCUI"), of("service", "TSM"))],
         lambda: [_service("DCUI"), _service("TSM")]),),
    "firewall": tuple(
        (functools.partial(_read_rule, key), functools.partial(_recorded_rule, key))
        for key in ("sshServer", "syslog", "httpClient")),
    "tcpip_stack": (
        (lambda: {name: [a["gateway"], a["congestion"], a["connections"]]
                  for name, a in read(CATALOG.types["tcpip_stack"]).items()},
         lambda: {text("key", s): [text("ipRouteConfig/defaultGateway", s) if elements(
             "ipRouteConfig/defaultGateway", s) else "", text("congestionControlAlgorithm", s),
             int(text("requestedMaxNumberOfConnections", s))] for s in elements("config/network/netStackInstance")}),),
    "power_policy": (
        (lambda: of("power_policy")["policy"], lambda: text("config/powerSystemInfo/currentPolicy/shortName")),
        (lambda: list(of("power_policy")["available"]),
         lambda: texts("config/powerSystemCapability/availablePolicy/shortName"))),
    "vsan": (
        (lambda: [of("vsan")["enabled"], of("vsan")["cluster"]],
         lambda: [text("config/vsanHostConfig/enabled") == "true", text("config/vsanHostConfig/clusterInfo/uuid")]),),
    "scratch": (
        (lambda: [of("scratch")["location"], of("scratch")["in_use"]],
         lambda: [_option(f"ScratchConfig.{name}ScratchLocation") for name in ("Configured", "Current")]),),
    "autostart": (
        (lambda: [of("autostart")[n] for n in ("start_delay", "stop_delay", "wait_for_heartbeat", "stop_action")],
         lambda: [int(text("config/autoStart/defaults/startDelay")), int(text("config/autoStart/defaults/stopDelay")),
                  text("config/autoStart/defaults/waitForHeartbeat") == "true",
                  {"PowerOff": "power_off"}[text("config/autoStart/defaults/stopAction")]]),),
}
"""Type → what its reader says of the recorded host, and what the bytes say."""


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_of_the_bytes(name: str) -> None:
    for reader, bytes_ in VALUES[name]:
        assert reader() == bytes_()


def test_a_type_is_called_recorded_where_it_is() -> None:
    assert set(VALUES) == {name for name, t in CATALOG.types.items() if "recording" in t.tested}


# --- every type, against its schema ---------------------------------------------------------------------------


OTHERWISE: Mapping[tuple[str, str], str] = {
    ("vswitch", "shaping"): "limits that are off are 0, and a file that sets a limit sets one",
    ("ptp", "protocol"): "the recorded host follows NTP; a host whose file has `ptp` follows PTP",
}
"""(Type, attribute) that this host shows in a way that no file would, and why that is right."""


@pytest.mark.parametrize("rtype", READ, ids=[t.name for t in READ])
def test_what_a_real_host_shows_is_what_a_file_may_say(rtype: ResourceType) -> None:
    odd = set()
    for name, attributes in read(rtype).items():
        assert attributes.keys() <= rtype.fields.keys(), name
        odd |= {key for key, value in attributes.items() if not conforms(rtype.fields[key], value)}
    assert {(rtype.name, key) for key in odd} == {each for each in OTHERWISE if each[0] == rtype.name}


KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "scalar": (str, int, float, bool),
    "list": (list, tuple), "map": (Mapping,), "object": (Mapping,), "ref": (str,),
}


def conforms(field: Field, said: object) -> bool:
    """Whether a value is of the field's kind, range and words; "", None and unknowns stand for what is unset."""
    if said is None or said == "" or isinstance(said, Unknown):
        return True
    if not isinstance(said, KINDS[field.kind]) or (field.kind == "int" and isinstance(said, bool)):
        return False
    value: Any = said
    if field.kind == "list" or field.kind == "map":
        items = value.values() if field.kind == "map" else value
        return field.items is None or all(conforms(field.items, each) for each in items)
    if field.kind == "object":
        return all(key in field.fields and conforms(field.fields[key], each) for key, each in value.items())
    low, high = RANGES.get(field.check, (field.minimum, field.maximum))
    return (not field.enum or str(value) in field.enum) and not (
        field.kind == "int" and ((low is not None and value < low) or (high is not None and value > high)))


@pytest.mark.parametrize(("field", "value", "fits"), [
    (Field("int", "", minimum=1), 0, False), (Field("int", "", check="mtu"), 1500, True),
    (Field("int", ""), True, False), (Field("string", "", enum=("a",)), "b", False),
    (Field("list", "", items=Field("bool", "")), [1], False),
    (Field("object", "", fields={"a": Field("bool", "")}), {"b": True}, False), (Field("bool", ""), None, True)])
def test_the_schemas_check_can_fail(field: Field, value: Any, fits: bool) -> None:
    assert conforms(field, value) is fits


@pytest.mark.parametrize("rtype", READ, ids=[t.name for t in READ])
def test_paths_are_properties_of_the_recorded_host(rtype: ResourceType) -> None:
    """Each path begins with a recorded property, and goes on by fields that the recorded types have."""
    for path in rtype.paths:
        first, *rest = path.split(".")
        assert first in answers() or first in ("vm", "parent"), path
        value = typed(first) if first in answers() else None
        for part in rest:
            if value is None:
                break
            assert part in {info.name for info in value._GetPropertyList()}, path
            value = getattr(value, part)
