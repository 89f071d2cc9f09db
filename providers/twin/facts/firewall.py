"""The firewall rule sets of an ESXi 8.0.3 host (HostRuleset) and which are open right after a stateless boot.

One line a rule set: key | label | flags | rules. Flags: e enabled, r required, f fixed address list, u opened and
closed by users (the host does so with the others); `s=KEY` the service that it belongs to. A rule is
direction/protocol/port (i inbound, o outbound; a trailing "s": source port). Ports are the ones that VMware documents
for each rule set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

_TABLE = """
CIMHttpServer|CIM Server|e|i/tcp/5988
CIMHttpsServer|CIM Secure Server||i/tcp/5989
CIMSLP|CIM SLP||i/udp/427 o/udp/427 i/tcp/427 o/tcp/427
DHCPv6|DHCPv6|e|o/tcp/547 i/tcp/546 o/udp/547 i/udp/546
DVFilter|DVFilter|u|i/tcp/2222
DVSSync|DVSSync|e|o/udp/8302 i/udp/8301 o/udp/8301 i/udp/8302
HBR|HBR|e|o/tcp/31031 o/tcp/44046
NFC|NFC|e|i/tcp/902 o/tcp/902
WOL|WOL|eu|o/udp/9
activeDirectoryAll|Active Directory All||o/udp/88 o/tcp/88 o/udp/123 o/udp/137 o/tcp/139 o/tcp/389 o/udp/389 o/tcp/445
cmmds|vSAN Clustering Service|e|i/udp/12345 i/udp/23451 o/udp/12345 o/udp/23451 i/udp/12321 o/udp/12321
dhcp|DHCP Client|e|i/udp/68 o/udp/68s
dns|DNS Client|eu|o/udp/53 o/tcp/53
dpd|dpd|s=dpd|o/tcp/443
esxio-orchestrator|esxio-orchestrator||i/tcp/8084
esxioComm|esxioComm||i/tcp/9197 o/tcp/9197
esxupdate|esxupdate||o/tcp/443
etcdClientComm|etcdClientComm|e|i/tcp/2379 o/tcp/2379
etcdPeerComm|etcdPeerComm|e|i/tcp/2380 o/tcp/2380
faultTolerance|Fault Tolerance|eu|o/tcp/80 i/tcp/8300 o/tcp/8300
ftpClient|FTP Client|u|o/tcp/21 i/tcp/20s
gdbserver|gdbserver|u|i/tcp/1000-9999 i/tcp/50000-50999
gstored|gstored||o/tcp/443
httpClient|httpClient|u|o/tcp/80 o/tcp/443
iSCSI|Software iSCSI Client||o/tcp/3260
iofiltervp|iofiltervp|e|i/tcp/9080
ipfam|NSX Distributed Logical Router Service|u|i/udp/6999 o/udp/6999
iwarp-pm|iwarp-pm|u|i/udp/3935 o/udp/3935
nfs41Client|nfs41Client|f|o/tcp/0-65535
nfsClient|NFS Client|f|o/tcp/0-65535
ntpClient|NTP Client||o/udp/123
nvmemdns|nvmemdns||o/udp/5353 i/udp/5353
nvmetcp|nvmetcp||o/tcp/8009 o/tcp/4420
proxy|proxy|f|i/tcp/1443
ptpd|PTP Client||i/udp/319-320 o/udp/319-320
pvrdma|pvrdma|u|o/tcp/28250-28761 i/tcp/28250-28761
rdt|vSAN Transport|e|i/tcp/2233 o/tcp/2233
remoteSerialPort|VM serial port connected over network|u|o/tcp/0-65535 i/tcp/23 i/tcp/1024-65535
settingsd|settingsd||i/tcp/8083 o/tcp/8083
snmp|SNMP Server||i/udp/161
sshClient|SSH Client|u|o/tcp/22
sshServer|SSH Server|eru|i/tcp/22
syslog|syslog|u|o/udp/514 o/tcp/514 o/tcp/1514
trusted-infrastructure-kmxa|trusted-infrastructure-kmxa|f|o/tcp/0-65535
trusted-infrastructure-kmxd|trusted-infrastructure-kmxd|f|o/tcp/0-65535
updateManager|vCenter Update Manager|eu|o/tcp/80 o/tcp/9000-9100
vMotion|vMotion|e|i/tcp/8000 o/tcp/8000
vSPC|VM serial port connected to vSPC|u|o/tcp/0-65535
vSphereClient|vSphere Web Client|eru|i/tcp/902 i/tcp/443
vdfs|vdfs||i/tcp/1564 o/tcp/1564
vic-engine|vic-engine|u|o/tcp/2377
vltd|vltd|s=vltd|o/tcp/1492 o/tcp/443
vpxHeartbeats|VMware vCenter Agent|es=vpxa|o/udp/902
vsanEncryption|vsanEncryption|f|o/tcp/0-65535
vsanhealth-unicasttest|vsanhealth-unicasttest||o/udp/5201 i/udp/5201 o/tcp/5201 i/tcp/5201
vsanmgmt-https-tunnel|vsanmgmt-https-tunnel|e|o/tcp/443
webAccess|vSphere Web Access|eu|i/tcp/80
"""


@dataclass(frozen=True, slots=True)
class RuleFact:
    """`last` 0: a single port."""

    inbound: bool
    protocol: str
    port: int
    last: int = 0
    source: bool = False


@dataclass(frozen=True, slots=True)
class RulesetFact:
    key: str
    label: str
    enabled: bool
    required: bool
    fixed: bool  # its allowed addresses cannot be edited
    user: bool  # a user opens and closes it
    service: str
    rules: tuple[RuleFact, ...]


@cache
def rulesets() -> dict[str, RulesetFact]:
    """All rule sets by key, in the order in which a host lists them."""
    return {fact.key: fact for fact in map(_ruleset, _TABLE.strip().splitlines())}


def _ruleset(line: str) -> RulesetFact:
    key, label, flags, rules = line.split("|")
    plain, _, service = flags.partition("s=")
    return RulesetFact(
        key, label, "e" in plain, "r" in plain, "f" in plain, "u" in plain, service,
        tuple(_rule(rule) for rule in rules.split())
    )


def _rule(text: str) -> RuleFact:
    direction, protocol, ports = text.split("/")
    first, _, last = ports.rstrip("s").partition("-")
    return RuleFact(direction == "i", protocol, int(first), int(last or 0), ports.endswith("s"))


def covers(key: str, protocol: str, port: int) -> bool:
    """Whether that rule set, when it is open, lets traffic out to that port. Raises KeyError."""
    return any(not rule.inbound and not rule.source and rule.protocol == protocol
               and (rule.port == port or rule.port <= port <= rule.last) for rule in rulesets()[key].rules)


def allows(enabled: dict[str, bool], protocol: str, port: int) -> bool:
    """Whether a host with these deviations from newborn lets traffic out to that port (`udp` or `tcp`)."""
    return any(enabled.get(key, fact.enabled) and covers(key, protocol, port) for key, fact in rulesets().items())


def is_source(text: str) -> bool:
    """Whether that is an address, or a network (ADDRESS/LENGTH)."""
    try:
        _network(text)
    except ValueError:
        return False
    return True


def passes(allowed: list[str] | None, address: str) -> bool:
    """Whether an allowed list lets that address through; None lets all."""
    return allowed is None or any(ip_address(address) in _network(each) for each in allowed)


def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)
