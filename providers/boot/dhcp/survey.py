"""From an evaluated fleet to a `Site`: reads `provider.boot.dhcp` and the hosts, and says what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import TYPE_CHECKING, Any

from planner.model import Attrs, Diagnostic, Fleet, FleetError, Resource, Unknown
from providers.boot.dhcp.loaders import choose
from providers.boot.dhcp.schema import PROXY
from providers.boot.dhcp.site import Machine, Pool, Site, Subnet
from providers.boot.listen import LOCAL

if TYPE_CHECKING:
    from providers.boot.images import Images, Outline

ROOT = "provider.boot.dhcp"
LEASE = 3600
MIN_LEASE, MAX_LEASE = 120, 2**31 - 1
"""dnsmasq raises anything below two minutes; above 31 bits the clients disagree about what it means."""

_LEASE = re.compile(r"([0-9]{1,10})\s*([smhd]?)\Z")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*\Z")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,14}\Z")
_LOADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,60}\Z")


@dataclass(slots=True)
class Survey:
    """A fleet as DHCP sees it. `site` is whole only where no problem is an error."""

    fleet: Fleet
    server: str  # "" where nobody has said yet
    problems: list[Diagnostic] = field(default_factory=list)

    def error(self, summary: str, detail: str, path: str, remedy: str = "") -> None:
        self.problems.append(Diagnostic("error", summary, detail, self.fleet.place(path), remedy=remedy))

    def warning(self, summary: str, detail: str, path: str, remedy: str = "") -> None:
        self.problems.append(Diagnostic("warning", summary, detail, self.fleet.place(path), remedy=remedy))

    def text(self, block: Attrs, key: str, path: str) -> str:
        """A text; "" where it is unset. What is known only after apply is a problem."""
        value = block.get(key)
        if isinstance(value, Unknown):
            self.error("DHCP needs known values", f"{path}.{key} is known only after apply", f"{path}.{key}",
                       "write it into the file")
            return ""
        return "" if value is None else str(value)


def outlines(fleet: Fleet, images: Images, *, fetch: bool = True) -> tuple[dict[str, Outline], list[Diagnostic]]:
    """The fleet's images by name, and what is wrong with those that cannot be read. See `Images.outline`."""
    found: dict[str, Outline] = {}
    problems: list[Diagnostic] = []
    for name, image in fleet.images.items():
        try:
            outline = images.outline(image, fetch=fetch)
        except FleetError as error:
            problems += error.diagnostics
        else:
            if outline is not None:
                found[name] = outline
    return found, problems


def survey(fleet: Fleet, outlines: Mapping[str, Outline], server: str = "") -> tuple[Site, list[Diagnostic]]:
    """Read a fleet that has `provider.boot.dhcp`. `outlines`: its images by name, as far as they can be read."""
    block = fleet.providers["boot"]
    dhcp = _map(block["dhcp"])
    look = Survey(fleet, server or str(dhcp.get("server") or ""))
    hosts = [r for r in fleet.resources.values()
             if r.address.type == "host" and not r.address.child_type and isinstance(r.attributes.get("mac"), str)]
    if not hosts:
        look.error("there is no machine for DHCP", "no host declares a `mac`", ROOT, "declare `mac` on the hosts")
    for firmware, name in _map(dhcp.get("loader")).items():
        if not _LOADER.match(str(name)):
            look.error("not a file name", f"{ROOT}.loader.{firmware}: {str(name)!r}", f"{ROOT}.loader.{firmware}",
                       "name a file of provider.boot.loaders: letters, digits, and . _ + -")
    choice = choose(fleet, hosts, outlines)
    look.problems += choice.problems
    listen = _ipv4(look, block)
    interface = look.text(dhcp, "interface", ROOT)
    if interface and not _INTERFACE.match(interface):
        look.error("not a network interface", f"{ROOT}.interface: {interface!r}", f"{ROOT}.interface",
                   "write its name as `ip link` shows it: eth1")
    site = Site(fleet.name, listen, _http(look, block, listen), _subnets(look, dhcp),
                tuple(_machine(look, host, choice.of_host) for host in hosts), choice.groups, interface,
                dhcp.get("unknown") == "lease" and look.server != PROXY)
    return site, look.problems


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ipv4(look: Survey, block: Attrs) -> str:
    """The address that this DHCP, which is IPv4's, sends machines to."""
    listen = block.get("listen")
    if not isinstance(listen, (list, tuple)):
        return look.text(block, "listen", "provider.boot") or LOCAL
    return next((str(address) for address in listen if ":" not in str(address)), LOCAL)


def _http(look: Survey, block: Attrs, listen: str) -> str:
    """The base of URLs; checks the ports that DHCP clients will ask."""
    ports = _map(block.get("ports"))
    if ports.get("tftp") not in (None, 69):
        look.warning("firmware asks TFTP at port 69 only", f"provider.boot.ports.tftp is {ports['tftp']}",
                     "provider.boot.ports.tftp", "let it be 69, or redirect UDP port 69 to it")
    port = ports.get("http")
    if port == 0:
        look.error("DHCP needs a fixed HTTP port", "provider.boot.ports.http is 0: any free port",
                   "provider.boot.ports.http", "write 80")
    if port is None and _map(look.fleet.providers.get("vsphere")).get("server") == "twin":
        look.warning("with the twin, boot files are served at any free port",
                     "provider.boot.ports does not say which; machines will be sent to 69 and 80", ROOT,
                     "write provider.boot.ports: {tftp: 69, http: 80, birth: 443}")
    return f"http://{listen}" if port in (None, 0, 80) else f"http://{listen}:{port}"


def _machine(look: Survey, host: Resource, group_of: Mapping[str, str]) -> Machine:
    found = host.attributes.get("boot_address")
    if isinstance(found, Unknown):
        look.problems.append(Diagnostic(
            "error", "DHCP needs known values", "boot_address is known only after apply", host.mark, host.address,
            "write it into the file"))
    ip = IPv4Address(found) if isinstance(found, str) else None
    name = str(host.attributes.get("name") or host.address.name).split(".")[0]
    return Machine(host.address, str(host.attributes["mac"]), name, ip, group_of.get(str(host.address), ""), host.mark)


# --- subnets ----------------------------------------------------------------------------------------------


def _subnets(look: Survey, dhcp: Attrs) -> tuple[Subnet, ...]:
    given: list[tuple[str, Mapping[str, Any]]] = []
    more = dhcp.get("subnets")
    if dhcp.get("subnet") is not None:
        given.append((ROOT, dhcp))
    else:
        for key in ("router", "range"):
            if dhcp.get(key) is not None:
                look.error("a key without its subnet", f"{ROOT}.{key}", f"{ROOT}.{key}", f"add {ROOT}.subnet")
    if isinstance(more, (list, tuple)):
        common = {key: dhcp[key] for key in ("dns", "domain", "lease") if key in dhcp}
        given += [(f"{ROOT}.subnets[{i}]", {**common, **_map(one)}) for i, one in enumerate(more)]
    if not given:
        look.error("DHCP needs a subnet", f"{ROOT} names none", ROOT, "add `subnet: 10.0.0.0/24`")
    found = (_subnet(look, path, body) for path, body in given)
    return tuple(subnet for subnet in found if subnet is not None)


def _subnet(look: Survey, path: str, body: Mapping[str, Any]) -> Subnet | None:
    text = look.text(body, "subnet", path)
    lease = _lease(look, path, body)
    pool = _pool(look, path, body)
    router = look.text(body, "router", path)
    dns = body.get("dns")
    if not text:
        return None
    try:
        network = IPv4Network(text)
        if network.prefixlen > 30 or "/" not in text:
            raise ValueError("a network of machines has a prefix from /1 to /30")
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        look.error("not a subnet", f"{path}.subnet: {text!r}: {error}", f"{path}.subnet",
                   "write the network's first address and its prefix: 10.0.0.0/24")
        return None
    return Subnet(path, network, lease, IPv4Address(router) if router else None, pool,
                  tuple(_addresses(dns)), look.text(body, "domain", path))


def _addresses(value: Any) -> Iterable[IPv4Address]:
    return (IPv4Address(one) for one in value if isinstance(one, str)) if isinstance(value, (list, tuple)) else ()


def _lease(look: Survey, path: str, body: Mapping[str, Any]) -> int:
    text = look.text(body, "lease", path)
    if not text:
        return LEASE
    found = _LEASE.match(text)
    if found is None:
        look.error("not a lease time", f"{path}.lease: {text!r}", f"{path}.lease", "write seconds, or 30m, 12h, 7d")
        return LEASE
    seconds = int(found.group(1)) * _UNITS[found.group(2)]
    if not MIN_LEASE <= seconds <= MAX_LEASE:
        look.error("out of range", f"{path}.lease: {text} is {seconds} s", f"{path}.lease",
                   f"allowed: {MIN_LEASE} to {MAX_LEASE} seconds")
        return LEASE
    return seconds


def _pool(look: Survey, path: str, body: Mapping[str, Any]) -> Pool | None:
    text = look.text(body, "range", path)
    if not text:
        return None
    found = _RANGE.match(text)
    try:
        if found is None:
            raise ValueError("two addresses with a hyphen between them are expected")
        pool = Pool(IPv4Address(found.group(1)), IPv4Address(found.group(2)))
        if pool.first > pool.last:
            raise ValueError("its first address is above its last")
    except ValueError as error:
        look.error("not a range of addresses", f"{path}.range: {text!r}: {error}", f"{path}.range",
                   "write 10.0.0.100-10.0.0.199")
        return None
    return pool
