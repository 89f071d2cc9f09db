"""What of `provider.boot` and the hosts' births does not fit together, as far as it shows offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from planner.model import Diagnostic, Fleet

REACHED = (80, 443)
"""TCP ports that a host just born reaches: its rule set httpClient has no others."""


def birth_problems(fleet: Fleet) -> Iterable[Diagnostic]:
    """Ports that no birth gets out to, and births that are denied."""
    block = fleet.providers.get("boot", {})
    hosts = {a: r.attributes for a, r in fleet.resources.items() if a.type == "host" and not a.child_type}
    if block.get("agentless") == "deny":
        for address in sorted((a for a, declared in hosts.items() if declared.get("birth") == "agentless"), key=str):
            yield Diagnostic("error", "agentless births are denied", "birth: agentless",
                             fleet.resources[address].mark, address,
                             remedy="use `birth: payload`, or remove `agentless: deny` from the boot provider")
    announced = sum(bool(declared.get("image")) for declared in hosts.values() if declared.get("birth") != "agentless")
    ports = block.get("ports")
    port = ports.get("birth") if isinstance(ports, Mapping) else None
    simulated = fleet.providers.get("vsphere", {}).get("server", "twin") == "twin"
    if simulated or not announced or port is None or port in REACHED:
        return
    yield Diagnostic(
        "warning", "births are sent to a port that a host just born does not reach",
        f"provider.boot.ports.birth is {port or 'any free port'}; hosts that announce themselves: {announced}",
        fleet.place("provider.boot.ports.birth"),
        remedy="use 443 (or 80), or forward 443 to it: fresh hosts open only TCP 80 and 443 outwards (httpClient)")
