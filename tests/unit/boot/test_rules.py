"""Offline rules of births."""

from __future__ import annotations

from typing import Any

import pytest

from planner.model import Address, Attrs, Diagnostic, Fleet, Resource
from providers.boot import provider


def problems(boot: Attrs, vsphere: Attrs | None = None, *births: str) -> list[Diagnostic]:
    hosts = {Address("host", "esx", f"esx{n}"): {"image": "esxi8", **({"birth": birth} if birth else {})}
             for n, birth in enumerate(births or ("",), 1)}
    hosts[Address("host", "adopted")] = {"name": "esx9"}  # never booted by us
    providers: dict[str, Attrs] = {"boot": boot, **({"vsphere": vsphere} if vsphere is not None else {})}
    resources = {address: Resource(address, declared) for address, declared in hosts.items()}
    return list(provider.problems(Fleet("lab", "x.yaml", "/", resources, providers)))


REAL = {"server": "vc.lab.example"}


@pytest.mark.parametrize(("ports", "vsphere", "births", "warned"), [
    ({"birth": 8443}, REAL, (), True), ({"birth": 0}, REAL, (), True), ({"birth": 443}, REAL, (), False),
    ({"birth": 80}, REAL, (), False), ({"tftp": 6969, "http": 8080}, REAL, (), False), ({}, REAL, (), False),
    ({"birth": 8443}, {"server": "twin"}, (), False), ({"birth": 8443}, None, (), False),
    ({"birth": 8443}, REAL, ("agentless",), False), ({"birth": 8443}, REAL, ("agentless", "payload"), True),
])
def test_births_to_ports_that_no_fresh_host_reaches(ports: dict[str, Any], vsphere: Attrs | None,
                                                    births: tuple[str, ...], warned: bool) -> None:
    found = problems({"ports": ports}, vsphere, *births)
    assert [each.severity for each in found] == ["warning"] * warned
    assert all("443" in each.remedy and "hosts that announce themselves: 1" in each.detail for each in found)


def test_agentless_births_may_be_denied() -> None:
    found = problems({"agentless": "deny"}, REAL, "agentless", "payload", "agentless")
    assert [(each.severity, str(each.address)) for each in found] == [
        ("error", 'host.esx["esx1"]'), ("error", 'host.esx["esx3"]')]
    assert problems({"agentless": "allow"}, REAL, "agentless") == []
