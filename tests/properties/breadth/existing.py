"""Strategies of the types of the first version. A domain's own module takes precedence where it has one, too."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Labelled = st.SearchStrategy[dict[str, dict[str, Any]]]

MTU = st.sampled_from([1500, 9000])
GROUPS = ("vMotion", "Storage", "VM Network")


def some(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Attributes: what is always there, and any of the rest."""
    return st.fixed_dictionaries(required, optional=optional)


def labelled(labels: tuple[str, ...], attributes: st.SearchStrategy[dict[str, Any]], most: int = 3) -> Labelled:
    return st.dictionaries(st.sampled_from(labels), attributes, min_size=1, max_size=most)


def single(attributes: st.SearchStrategy[dict[str, Any]]) -> Labelled:
    return attributes.map(lambda each: {"": each})


def adapters() -> Labelled:
    """vmk1 and vmk2: the host names them in this order, so the second is never alone."""
    def adapter(number: int) -> st.SearchStrategy[dict[str, Any]]:
        return some({"portgroup": st.just(GROUPS[number - 1]), "ip": st.just(f"10.0.2{number}.11"),
                     "netmask": st.just("255.255.255.0"), "mtu": MTU,
                     "services": st.sets(st.sampled_from(["vmotion", "provisioning"])).map(sorted)})

    return st.builds(lambda first, second: {"vmk1": first, **({"vmk2": second} if second else {})},
                     adapter(1), st.none() | adapter(2))


def export(*paths: str) -> st.SearchStrategy[dict[str, Any]]:
    """Two datastores never mount one export: the host refuses the second."""
    return some({"server": st.just("nas1"), "path": st.sampled_from(paths)}, version=st.sampled_from(["3", "4.1"]),
                access=st.sampled_from(["readOnly", "readWrite"]))


def clusters() -> Labelled:
    drs = some({"enabled": st.booleans()}, automation=st.sampled_from(["manual", "fullyAutomated"]))
    ha = some({"enabled": st.booleans()}, admission_control=st.booleans())
    return st.fixed_dictionaries({"prod": some({}, drs=drs, ha=ha)}, optional={"edge": some({}, drs=drs, ha=ha)})


def strategies() -> dict[str, Labelled]:
    uplinks = {"vSwitch0": [["vmnic0"], ["vmnic0", "vmnic3"]], "vSwitch1": [[], ["vmnic1"]], "vSwitch2": [["vmnic2"]]}
    return {
        "datacenter": st.fixed_dictionaries({"dc0": st.just({})}, optional={
            "dc1": some({}, name=st.sampled_from(["dc1", "the other"]))}),
        "folder": labelled(("racks", "core"), st.just({"datacenter": "datacenter.dc0", "kind": "host"}), 2),
        "cluster": clusters(),
        "vswitch": st.fixed_dictionaries({}, optional={
            name: some({"uplinks": st.sampled_from(choices), "mtu": MTU}) for name, choices in uplinks.items()}),
        "portgroup": labelled(("vMotion", "Storage"), some({
            "vswitch": st.sampled_from(["vSwitch0", "vSwitch1"]), "vlan": st.sampled_from([0, 20, 4095])})),
        "vmkernel": adapters(),
        "dns": single(some({"dhcp": st.just(False),  # with servers: without any, no domain is found to be joined
                            "servers": st.sampled_from([["10.0.0.53"], ["10.0.0.54", "10.0.0.53"]])},
                           domain=st.sampled_from(["lab.example", "x.example"]),
                           search=st.sampled_from([["lab.example"], []]))),
        "ntp": single(some({"servers": st.sampled_from([["10.0.0.1"], ["10.0.0.2", "10.0.0.1"]])},
                           policy=st.sampled_from(["on", "off"]), running=st.booleans())),
        "syslog": single(some({"targets": st.sampled_from([["udp://10.0.0.9:514"], ["tcp://10.0.0.9:514"]])},
                              firewall=st.booleans())),
        "nfs": st.fixed_dictionaries({}, optional={"images": export("/a", "/b"), "scratch": export("/s")}),
        "option": labelled(("UserVars.SuppressShellWarning", "UserVars.ESXiShellTimeOut"),
                           st.fixed_dictionaries({"value": st.integers(0, 1)})),
        "service": labelled(("TSM-SSH", "TSM"), some({}, policy=st.sampled_from(["on", "off", "automatic"]),
                                                     running=st.booleans())),
    }
