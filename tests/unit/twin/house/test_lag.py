"""What vCenter shows of a host's configuration lags calls; what the host itself shows does not."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from tests.support.twin import host, mac_of, make_house, vcenter


class Hand:
    """A clock that only a hand moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def house() -> Any:
    made = make_house(hosts=1, clock=Hand())
    made.lag.seconds = 2.0
    return made


def switches(esx: Any) -> list[str]:
    return [each.name for each in esx.config.network.vswitch]


def add(esx: Any, name: str) -> None:
    esx.configManager.networkSystem.AddVirtualSwitch(name, vim.host.VirtualSwitch.Specification(numPorts=8))


def test_a_change_comes_through_after_a_moment_and_changes_in_their_order(house: Any) -> None:
    esx = host(vcenter(house))
    add(esx, "a")
    house.clock.sleep(1.0)
    add(esx, "b")
    assert switches(esx) == ["vSwitch0"]
    assert [each.name for each in esx.configManager.networkSystem.networkInfo.vswitch] == ["vSwitch0", "a", "b"]
    house.clock.sleep(1.0)
    assert switches(esx) == ["vSwitch0", "a"]
    house.clock.sleep(1.0)
    assert switches(esx) == ["vSwitch0", "a", "b"]


def test_what_a_boot_took_away_never_comes_through(house: Any) -> None:
    esx = host(vcenter(house))
    add(esx, "a")
    house.power(mac_of(1), "off")
    assert switches(esx) == ["vSwitch0", "a"]  # vCenter's memory of a host that is gone is of its last moment


def test_without_lag_it_shows_at_once(house: Any) -> None:
    house.lag.seconds = 0.0
    esx = host(vcenter(house))
    add(esx, "a")
    assert switches(esx) == ["vSwitch0", "a"]
