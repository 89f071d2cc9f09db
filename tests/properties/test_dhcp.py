"""Whatever hosts a fleet has: if our checks find nothing wrong, the daemons take the configuration."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.model import Diagnostic, FleetError
from tests.support.dhcp.fleets import dnsmasq_accepts, kea_accepts, place, render
from tests.support.places import quick_folder

_LABELS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True) | st.sampled_from(
    ["ignore", "infinite", "1h", "10", "set", "tag", "net", "0x1f", "id"])
_BASE = """fleet: {name: lab}
provider:
  vsphere: {server: vc.lab.example}
  boot: {listen: 10.0.0.2, loaders: loaders, dhcp: {%s}}
image: {esx8: {source: esx8}, esx67: {source: esx67}, esx41: {source: esx41}, rescue: {source: rescue}}
datacenter: {dc0: {}}
cluster: {prod: {datacenter: '${datacenter.dc0}'}}
host:
"""


@st.composite
def networks(draw: st.DrawFn) -> tuple[str, list[IPv4Network]]:
    """The block's body, and its subnets: the first one holds 10.0.0.2, the others are anywhere else."""
    first = IPv4Network(("10.0.0.0", draw(st.integers(8, 22))))
    others = {IPv4Network((f"172.16.{n}.0", 24)) for n in draw(st.sets(st.integers(0, 255), max_size=3))}
    parts = [f"subnet: {first}, router: {first.broadcast_address - 1}"]
    if draw(st.booleans()):
        parts.append(f"range: 10.0.0.12-{first.network_address + draw(st.integers(12, 500))}")
    if draw(st.booleans()):
        parts.append("unknown: lease, dns: [192.0.2.1, 192.0.2.2], domain: a.b-c.example, lease: 2d")
    more = ", ".join(f"{{subnet: {n}, router: {n.network_address + 1}, range: {n.network_address + 100}-"
                     f"{n.network_address + 200}}}" for n in sorted(others))
    return ", ".join([*parts, f"subnets: [{more}]"]), [first, *sorted(others)]


@st.composite
def hosts(draw: st.DrawFn, number: int, nets: list[IPv4Network]) -> dict[str, str]:
    """A host's body. Its address is mostly a good one."""
    mac = draw(st.integers(1, 2**24 - 1)) << 16 | number
    body = {"name": f"{draw(_LABELS)}.h{number}.example", "mac": f"'{(0x02 << 40 | mac).to_bytes(6).hex(':')}'",
            "cluster": "'${cluster.prod}'", "root_password": "'${secret(\"env:P\")}'"}
    image = draw(st.sampled_from(["", "esx8", "esx67", "esx41", "rescue"]))
    if image:
        body["image"] = f"'${{image.{image}}}'"
    net = draw(st.sampled_from([*nets, None]))
    if net is not None:
        good = 40 + number if net.prefixlen == 24 else 900 + number
        offset = draw(st.sampled_from([good] * 15 + [0, 100, 255]))
        body["boot_address"] = str(net.network_address + offset)
    return body


@st.composite
def fleets(draw: st.DrawFn) -> str:
    block, nets = draw(networks())
    bodies = [draw(hosts(number, nets)) for number in range(draw(st.integers(1, 12)))]
    lines = (f"  h{n}: {{{', '.join(f'{key}: {value}' for key, value in body.items())}}}\n"
             for n, body in enumerate(bodies))
    return _BASE % block + "".join(lines)


@settings(max_examples=30)
@given(fleets())
def test_what_passes_our_checks_passes_the_daemons(text: str) -> None:
    with quick_folder() as folder:
        path = place(folder, text)
        for server in ("dnsmasq", "dnsmasq-proxy", "kea"):
            _accepted(path, server, folder)


def _accepted(path: Path, server: str, folder: Path) -> None:
    made, problems = _made(path, server)
    if problems:
        assert all(one.mark is not None and one.remedy for one in problems)
    elif server == "kea":
        assert kea_accepts(made, folder) == ""
    else:
        assert dnsmasq_accepts(made, folder) == ""
        hosts = re.findall(r"^dhcp-host=.*$", made, re.MULTILINE)
        assert not any(re.search(r",(ignore|infinite|[0-9]+[smhdw]?)$", line, re.IGNORECASE) for line in hosts)


def _made(path: Path, server: str) -> tuple[str, tuple[Diagnostic, ...]]:
    """The configuration, or what our checks have against it."""
    try:
        return render(path, server), ()
    except FleetError as error:
        return "", error.diagnostics
