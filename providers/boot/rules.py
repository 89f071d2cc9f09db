"""What of `provider.boot` and the hosts' births does not fit together, as far as it shows offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

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
    if simulated or not announced or port is None or port in REACHED or block.get("midwife"):
        return
    yield Diagnostic(
        "warning", "births are sent to a port that a host just born does not reach",
        f"provider.boot.ports.birth is {port or 'any free port'}; hosts that announce themselves: {announced}",
        fleet.place("provider.boot.ports.birth"),
        remedy="use 443 (or 80), or forward 443 to it: fresh hosts open only TCP 80 and 443 outwards (httpClient)")


def midwife_problems(fleet: Fleet) -> Iterable[Diagnostic]:
    """A remote midwife needs an identity, and an address that TLS can be spoken to."""
    block = fleet.providers.get("boot", {})
    url, identity = block.get("midwife"), block.get("identity")
    if url and not identity:
        yield Diagnostic("error", "a remote midwife needs an identity", "provider.boot.identity is not set",
                         fleet.place("provider.boot.midwife"),
                         remedy="make one there with `fleet midwife enroll`, and write identity: "
                                "'${secret(\"file:lab.pem\")}'")
    if identity and not url:
        yield Diagnostic("error", "an identity is for a remote midwife", "provider.boot.midwife is not set",
                         fleet.place("provider.boot.identity"), remedy="name the midwife, or remove `identity`")
    if isinstance(url, str) and url:
        try:
            parts = urlsplit(url)
            good = parts.scheme == "https" and bool(parts.hostname) and parts.path in ("", "/") and parts.port != 0
        except ValueError:
            good = False
        if not good:
            yield Diagnostic("error", "this is no address of a midwife", "provider.boot.midwife",
                             fleet.place("provider.boot.midwife"), remedy="write https://HOST:PORT")
