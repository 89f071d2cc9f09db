"""Random valid fleets for the lab, and some fixed pairs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

HOSTS = ("esx01", "esx02")


def _host(name: str, cluster: str, body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Address text → attributes of one host and what hangs on it."""
    at = f'host.esx["{name}"]'
    number = int(name.removeprefix("esx"))
    found: dict[str, dict[str, Any]] = {at: {
        "name": f"{name}.lab.example", "mac": f"52:54:00:00:00:1{number}", "cluster": f"cluster.{cluster}",
        "image": "esxi8", "root_password": {"$secret": "env:ROOT"}}}
    for kind, value in body.items():
        if kind == "host":
            found[at] |= value
        elif kind in ("dns", "ntp", "syslog"):
            found[f"{at}.{kind}"] = value
        else:
            for label, attributes in value.items():
                found[f'{at}.{kind}["{label}"]'] = attributes
    return found


def whole(hosts: dict[str, tuple[str, dict[str, Any]]], clusters: dict[str, dict[str, Any]]) -> dict[str, Any]:
    from planner.model import Address, SecretRef

    found: dict[str, Any] = {"datacenter.dc0": {"name": "dc0"}}
    for label, body in clusters.items():
        found[f"cluster.{label}"] = {"name": label, "datacenter": "datacenter.dc0", **body}
    for name, (cluster, body) in hosts.items():
        found.update(_host(name, cluster, body))
    return {str(Address.parse(a)): {k: SecretRef(v["$secret"]) if isinstance(v, dict) and "$secret" in v else v
                                    for k, v in attributes.items()} for a, attributes in found.items()}


ONCE = {"netboot": "once"}
INSTALLED = {"install": {"disk": "first"}, "initial_root_password": {"$secret": "env:FIRST"}}
MTU = st.sampled_from([1500, 9000])


@st.composite
def bodies(draw: st.DrawFn, export: dict[str, str]) -> dict[str, Any]:
    """What hangs on one host: always consistent in itself. Hosts share datastores, and so their exports."""
    nics = draw(st.permutations(["vmnic1", "vmnic2", "vmnic3"]))
    switches = draw(st.sets(st.sampled_from(["vSwitch1", "vSwitch2"])))
    body: dict[str, Any] = {"vswitch": {}, "portgroup": {}, "vmkernel": {}, "nfs": {}, "service": {}, "option": {},
                            "host": draw(st.sampled_from([{}, {}, ONCE]))}
    if draw(st.booleans()):
        body["vswitch"]["vSwitch0"] = {"uplinks": draw(st.sampled_from([["vmnic0"], sorted(["vmnic0", nics[0]])])),
                                       "mtu": draw(MTU)}
    for i, name in enumerate(sorted(switches), 1):
        body["vswitch"][name] = {"uplinks": draw(st.sampled_from([[], [nics[i]]])), "mtu": draw(MTU)}
    for name in sorted(draw(st.sets(st.sampled_from(["vMotion", "Storage"])))):
        body["portgroup"][name] = {"vswitch": draw(st.sampled_from(["vSwitch0", *sorted(switches)])),
                                   "vlan": draw(st.sampled_from([0, 20, 30]))}
    groups = sorted(body["portgroup"])
    for i, group in enumerate(draw(st.permutations(groups))[:draw(st.integers(0, 2))], 1):  # one adapter a port group
        body["vmkernel"][f"vmk{i}"] = {
            "portgroup": group, "ip": f"10.0.2{i}.11", "netmask": "255.255.255.0",
            "mtu": draw(MTU), "services": sorted(draw(st.sets(st.sampled_from(["vmotion", "provisioning"]))))}
    if draw(st.booleans()):
        body["nfs"]["images"] = {**export, "version": "3", "access": draw(st.sampled_from(["readOnly", "readWrite"]))}
    if draw(st.booleans()):
        body["service"]["TSM-SSH"] = {"policy": draw(st.sampled_from(["on", "off"])), "running": draw(st.booleans())}
    if draw(st.booleans()):
        body["option"]["UserVars.SuppressShellWarning"] = {"value": draw(st.integers(0, 1))}
    if draw(st.booleans()):
        body["dns"] = {"servers": ["10.0.0.53"], "domain": draw(st.sampled_from(["lab.example", "x.example"]))}
    if draw(st.booleans()):
        body["ntp"] = {"servers": draw(st.sampled_from([["10.0.0.1"], ["10.0.0.2", "10.0.0.1"]]))}
    if draw(st.booleans()):
        body["syslog"] = {"targets": ["udp://10.0.0.9:514"]}
    return body


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, Any]:
    """Datacenter, one or two clusters, up to two hosts; both sides of a pair come from here."""
    clusters = {label: {"drs": {"enabled": draw(st.booleans())}, "ha": {"enabled": draw(st.booleans())}}
                for label in ("prod", *(["edge"] if draw(st.booleans()) else []))}
    export = {"server": "nas1", "path": draw(st.sampled_from(["/a", "/b"]))}
    hosts = {name: (draw(st.sampled_from(sorted(clusters))), draw(bodies(export)))
             for name in sorted(draw(st.sets(st.sampled_from(HOSTS))))}
    image = {"image": draw(st.sampled_from(["esxi8", "esxi8", "esxi9"]))}
    return whole({name: (cluster, {**body, "host": {**body["host"], **image}})
                  for name, (cluster, body) in hosts.items()}, clusters)


_PROD: dict[str, dict[str, Any]] = {"prod": {"drs": {"enabled": True}, "ha": {"enabled": True}}}
_BODY: dict[str, Any] = {
    "vswitch": {"vSwitch0": {"uplinks": ["vmnic0"], "mtu": 1500}, "vSwitch1": {"uplinks": ["vmnic1"], "mtu": 9000}},
    "portgroup": {"vMotion": {"vswitch": "vSwitch1", "vlan": 20}},
    "vmkernel": {"vmk1": {"portgroup": "vMotion", "ip": "10.0.20.11", "netmask": "255.255.255.0", "mtu": 9000,
                          "services": ["vmotion"]}},
    "nfs": {"images": {"server": "nas1", "path": "/export/images", "version": "3", "access": "readOnly"}},
    "service": {"TSM-SSH": {"policy": "off", "running": False}},
    "option": {"UserVars.SuppressShellWarning": {"value": 1}},
    "dns": {"servers": ["10.0.0.53"], "domain": "lab.example"},
    "ntp": {"servers": ["10.0.0.1", "10.0.0.2"]},
    "syslog": {"targets": ["udp://10.0.0.9:514"]},
}
FIRST = whole({"esx01": ("prod", _BODY)}, _PROD)
EDITED: dict[str, dict[str, Any]] = {
    "another host is born": whole({"esx01": ("prod", _BODY), "esx02": ("prod", _BODY)}, _PROD),
    "another host is installed": whole({"esx01": ("prod", _BODY), "esx02": ("prod", {**_BODY, "host": INSTALLED})},
                                       _PROD),
    "another host boots once": whole({"esx01": ("prod", _BODY), "esx02": ("prod", {**_BODY, "host": ONCE})}, _PROD),
    "everything on the host changes": whole({"esx01": ("prod", {
        "vswitch": {"vSwitch0": {"uplinks": ["vmnic0", "vmnic1"], "mtu": 9000},
                    "vSwitch1": {"uplinks": ["vmnic2"], "mtu": 1500}},
        "portgroup": {"vMotion": {"vswitch": "vSwitch0", "vlan": 30}},
        "vmkernel": {"vmk1": {"portgroup": "vMotion", "ip": "10.0.30.11", "netmask": "255.255.255.0", "mtu": 1500,
                              "services": ["provisioning"]}},
        "nfs": {"images": {"server": "nas2", "path": "/x", "version": "3", "access": "readWrite"}},
        "service": {"TSM-SSH": {"policy": "on", "running": True}},
        "option": {"UserVars.SuppressShellWarning": {"value": 0}},
        "dns": {"servers": ["10.0.0.54"], "domain": "x.example"}, "ntp": {"servers": ["10.0.0.3"]},
        "syslog": {"targets": ["tcp://10.0.0.9:514"]},
    })}, {"prod": {"drs": {"enabled": False}, "ha": {"enabled": False}}}),
    "the host moves and loses all": whole({"esx01": ("edge", {})}, {**_PROD, "edge": {"drs": {"enabled": False}}}),
    "the host leaves": whole({}, _PROD),
}
