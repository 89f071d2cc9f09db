"""Hosts that are alike are served from templates: never anything but what is made the long way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.twin.core.context import Context
from providers.twin.house import PASSWORD, USER
from providers.twin.objects.host import HostObject
from providers.twin.profile import ESXI8, PROFILES
from providers.twin.serving import new_house
from providers.twin.soap import templates
from providers.twin.soap.endpoint import Endpoint
from providers.twin.soap.stub import InProcessStub
from providers.vsphere.paths import STATUS

HOSTS = 56  # beyond the fiftieth, so that templates are checked again on the way
WIDE = ("config.certificate", "config.optionDef", "config.option", "config.network", "config.storageDevice",
        "config.firewall", "config.service", "config.virtualNicManagerInfo", "config.fileSystemVolume")
PATHS = (*STATUS, *sorted(path for path in HostObject.props if path.startswith("config.") and path not in WIDE),
         'config.option["Syslog.global.logHost"]', 'config.service.service["TSM"]', "hardware.systemInfo")


def content_of(stub: Any) -> Any:
    return vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()


class Reader:
    """Bulk reads as XML."""

    def __init__(self, house: Any, paths: tuple[str, ...] = PATHS) -> None:
        self.house, self.paths = house, paths
        stub: Any = InProcessStub(house.world, codec=True)
        self.stub = stub
        self.content = content_of(stub)
        self.content.sessionManager.Login(USER, PASSWORD, None)
        self.context = Context(house.world.sessions.get(stub._key))

    def read(self) -> list[str]:
        """Each host's XML."""
        collector = vmodl.query.PropertyCollector
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [vim.HostSystem], True)
        walk = collector.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
        spec = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
            propSet=[collector.PropertySpec(type=vim.HostSystem, pathSet=list(self.paths), all=False)])
        info = collector._GetMethodInfo("RetrievePropertiesEx")
        request = self.stub.SerializeRequest(self.content.propertyCollector, info,
                                             [[spec], collector.RetrieveOptions()])
        body = Endpoint(self.house.world).handle(self.context, request, self.stub.versionId).body.decode()
        return re.findall("<objects.*?</objects>", body)

    def the_long_way(self) -> list[str]:
        kept, self.house.world.templates = self.house.world.templates, None
        try:
            return self.read()
        finally:
            self.house.world.templates = kept


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were made the long way, one entry a time."""
    found: list[str] = []
    original = templates.written

    def written(obj: Any, path: str, *more: Any) -> str:
        found.append(path)
        return original(obj, path, *more)

    monkeypatch.setattr(templates, "written", written)
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_every_host_is_shown_as_the_long_way_shows_it(profile: str, made: list[str]) -> None:
    house = new_house(HOSTS, profile)
    reader = Reader(house)
    shown = reader.read()
    assert len(shown) == HOSTS
    assert shown == reader.the_long_way()
    assert shown == reader.read()
    assert len(made) < HOSTS * len(PATHS) / 6


def test_what_changes_on_one_host_shows_on_that_one(made: list[str]) -> None:
    house = new_house(12, ESXI8)
    house.lag.seconds = 0.0
    reader = Reader(house)
    before = reader.read()
    hosts = reader.content.rootFolder.childEntity[0].hostFolder.childEntity[0].host
    system = hosts[4].configManager.networkSystem
    system.AddPortGroup(vim.host.PortGroup.Specification(
        name="new", vlanId=7, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()))
    hosts[7].configManager.serviceSystem.StartService("TSM")
    after = reader.read()
    assert after == reader.the_long_way()
    assert [n for n, (one, other) in enumerate(zip(before, after, strict=True)) if one != other] == [4, 7]
    assert "PortGroup-new" in after[4]


def test_hosts_that_are_away_are_shown_so(made: list[str]) -> None:
    house: Any = new_house(6, ESXI8)
    reader = Reader(house)
    reader.read()
    house.stop_responding("52:54:00:00:00:03")
    house.contact.notice(house.inventory.host_of("52:54:00:00:00:03"))
    house.world.touch()
    shown = reader.read()
    assert shown == reader.the_long_way()
    assert "notResponding" in shown[2]


def test_a_value_that_is_computed_from_an_identity_is_found_out(monkeypatch: pytest.MonkeyPatch,
                                                                made: list[str]) -> None:
    from providers.twin.views import network

    original = network.pnics
    monkeypatch.setattr("providers.twin.objects.host.network.pnics", lambda box: original(box)[:int(box.mac[-1], 16)])
    house = new_house(4)
    reader = Reader(house, ("name", "config.network.pnic"))
    assert reader.read() == reader.the_long_way() == reader.read()
    assert made.count("config.network.pnic") > made.count("name")


def test_a_path_that_is_not_simulated_is_still_refused() -> None:
    reader = Reader(new_house(2), ("name", "licensableResource"))
    assert reader.read() == []
