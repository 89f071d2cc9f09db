"""Schema of `provider: {boot: {dhcp: …}}`. Imported with the provider: nothing heavy here."""

from __future__ import annotations

from collections.abc import Mapping

from planner.schema import Field, string, strings

SERVERS = ("dnsmasq", "dnsmasq-proxy", "kea")
PROXY = "dnsmasq-proxy"
"""Leaves addresses to the site's own DHCP server, and answers only what to boot."""


def _subnet_fields(*, first: bool) -> dict[str, Field]:
    common = "" if first else " That of `dhcp` where unset."
    return {
        "subnet": string("The network in CIDR notation: 10.0.0.0/24.", required=not first),
        "router": string("The default gateway that machines are told.", check="ipv4"),
        "range": string("First and last address for machines without `boot_address`: 10.0.0.100-10.0.0.199; "
                        "reservations only where unset."),
        "dns": strings(f"DNS servers that machines are told.{common}", check="ipv4"),
        "domain": string(f"Domain name that machines are told.{common}", check="hostname"),
        "lease": string(f"How long a lease is good: seconds, or 30m, 12h, 7d (1h where unset).{common}"),
    }


def dhcp_field() -> Field:
    """The one field `dhcp`."""
    loader: Mapping[str, Field] = {
        "bios": string("BIOS machines: pxelinux.0 or undionly.kpxe."),
        "uefi": string("UEFI machines (x86): mboot.efi, snponly.efi or ipxe.efi."),
        "arm64": string("UEFI machines (arm64): mboot.efi, or an iPXE for arm64."),
    }
    return Field("object", "What `fleet dhcp` renders a DHCP server's configuration from.", fields={
        **_subnet_fields(first=True),
        "server": string("The DHCP server that the configuration is for, where --server does not say.",
                         enum=SERVERS),
        "interface": string("Network interface that the DHCP server listens on; all where unset."),
        "unknown": string("What machines get that are not declared: nothing at all (ignore), or an address of the "
                          "range, but nothing to boot (lease).", enum=("ignore", "lease"), default="ignore"),
        "loader": Field("object", "The file that firmware loads first, by architecture, where another one is wanted "
                                  "than the image suggests.", fields=loader),
        "subnets": Field("list", "More subnets, reached by DHCP relays.",
                         items=Field("object", "A subnet.", fields=_subnet_fields(first=False))),
    })
