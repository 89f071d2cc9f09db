"""Small states and stores for the tests of the state room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planner.model import Address, FleetError, SecretRef, State, StateResource
from state.local import LocalStore

ESX = Address("host", "esx", "esx01")
VM_NETWORK = ESX.under("portgroup", "VM Network")


def resource(address: Address, origin: Any = "created", **attributes: Any) -> StateResource:
    return StateResource(address, origin, attributes, "group-h1", {"uuid": "4c4c", "boot_time": "2026-01-01T00:00:00Z"})


def small_state(serial: int = 1, **more: Any) -> State:
    resources = {
        ESX: resource(ESX, name="esx01.lab.example", root_password=SecretRef("env:ESX")),
        VM_NETWORK: resource(VM_NETWORK, "adopted", vlan=serial, vswitch="vSwitch0"),
    }
    values: dict[str, Any] = {"lineage": "lin-1", "serial": serial, "fleet": "lab", "instance": "vc-1",
                              "resources": resources, "outputs": {"ips": ["10.0.0.1", 2, None]}, **more}
    return State(**values)


def store_in(folder: Path) -> LocalStore:
    return LocalStore(folder / ".fleet" / "lab", "lab")


def text_of(error: FleetError) -> str:
    """Everything that a user reads of an error."""
    return "\n".join(f"{d.summary}\n{d.detail}\n{d.remedy}" for d in error.diagnostics)


def head(**more: Any) -> dict[str, Any]:
    return {"kind": "head", "run": "r1", "lineage": "lin-1", "serial": 0, "who": "alice", "host": "bastion",
            "reason": "CHG-1", "started": "2026-01-01T00:00:00Z", **more}
