"""`provider.boot.listen`: the addresses that machines are sent to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace

from planner.model import Diagnostic, Fleet, FleetError, Unknown

LOCAL = "127.0.0.1"


def addresses(listen: object) -> tuple[str, ...]:
    """`provider.boot.listen`, one address or a list: at most one IPv4 and one IPv6, in their usual spelling.

    Raises FleetError for what no machine could be sent to.
    """
    given = [LOCAL] if listen in (None, "", [], ()) else [listen] if isinstance(listen, str) else listen
    if not isinstance(given, Sequence):
        raise FleetError(_cannot_listen(str(listen), "it is no address", "write one address, or a list of two"))
    found: dict[int, str] = {}
    for text in map(str, given):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise FleetError(_cannot_listen(text, "it is no IP address", "write an address of this machine")) from None
        if address.is_unspecified:
            raise FleetError(Diagnostic(
                "error", "the boot server must listen on one address", f"provider.boot.listen is {text}",
                remedy="name the address on the boot network: machines are sent to it"))
        if address.is_multicast or (address.version == 6 and address.is_link_local):
            raise FleetError(_cannot_listen(text, "a URL with that address leads machines nowhere",
                                            "take an address that is routed on the boot network (fd00::/8 will do)"))
        if address.version in found:
            raise FleetError(_cannot_listen(f"{found[address.version]} and {text}", "these are two of one family",
                                            "name at most one IPv4 and one IPv6 address"))
        found[address.version] = str(address)
    return tuple(found.values())


def problems(fleet: Fleet) -> Iterable[Diagnostic]:
    """What is wrong with the fleet's own, at its place; nothing where it is known only after apply."""
    listen = fleet.providers.get("boot", {}).get("listen")
    if any(isinstance(value, Unknown) for value in (listen if isinstance(listen, (list, tuple)) else [listen])):
        return
    try:
        addresses(listen)
    except FleetError as error:
        for found in error.diagnostics:
            yield replace(found, mark=fleet.place("provider.boot.listen"))


def _cannot_listen(text: str, why: str, remedy: str) -> Diagnostic:
    return Diagnostic("error", "the boot server cannot listen there", f"provider.boot.listen is {text}: {why}",
                      remedy=remedy)


def url(scheme: str, host: str, port: int, usual: int) -> str:
    """With brackets around an IPv6 address, without the port where it is the usual one."""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port == usual else f"{scheme}://{name}:{port}"
