"""Faults that a host's network system answers bad input with."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TypeVar

from pyVmomi import vim, vmodl

T = TypeVar("T")


def known(kept: Mapping[str, T], name: str, host: str, kind: str) -> T:
    """What a host has under this name. Raises vim.fault.NotFound."""
    found = kept.get(name)
    if found is None:
        raise vim.fault.NotFound(msg=f"The host {host} has no {kind} {name}.")
    return found


def invalid(name: str, text: str) -> Exception:
    """vmodl.fault.InvalidArgument for that argument."""
    fault: Exception = vmodl.fault.InvalidArgument(
        invalidProperty=name, msg=f"A specified parameter was not correct: {name}. {text}"
    )
    return fault


def refused(text: str) -> Exception:
    """vim.fault.PlatformConfigFault: the host's own answer to what it cannot do."""
    fault: Exception = vim.fault.PlatformConfigFault(text=text, msg=text)
    return fault


def ip(name: str, text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address. Raises vmodl.fault.InvalidArgument for that argument."""
    try:
        return ipaddress.ip_address(text or "")
    except ValueError:
        raise invalid(name, f"{text!r} is not an IP address.") from None
