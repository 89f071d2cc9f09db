"""Functions over IP networks (RFC 4632 notation). Rows as in `collections_`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from planner.config.values import ExprError, words

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from planner.config.collections_ import Row


def _network(prefix: Any) -> IPv4Network | IPv6Network:
    from ipaddress import ip_network

    if not isinstance(prefix, str):
        raise ExprError("wrong argument", f"a network such as 10.0.0.0/24 is needed, not {words(prefix)}")
    try:
        return ip_network(prefix, strict=False)
    except ValueError as error:
        raise ExprError("not a network", str(error), "write it as 10.0.0.0/24") from None


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ExprError("wrong argument", f"a whole number is needed, not {words(value)}",
                        "convert it with tonumber()" if isinstance(value, str) else "")
    return value


def cidrhost(prefix: Any, number: Any) -> str:
    """Address number N of a network; negative numbers count from its end."""
    network, n = _network(prefix), _whole(number)
    if not -network.num_addresses <= n < network.num_addresses:
        raise ExprError("outside of the network", f"{network} has {network.num_addresses} addresses, not number {n}")
    return str(network[n])


def cidrsubnet(prefix: Any, bits: Any, number: Any) -> str:
    """Subnet number N of a network, `bits` longer than it."""
    network, more, n = _network(prefix), _whole(bits), _whole(number)
    length = network.prefixlen + more
    if more < 0 or length > network.max_prefixlen:
        raise ExprError("outside of the network", f"a prefix of {length} bits does not exist in {network}")
    if not 0 <= n < 1 << more:
        raise ExprError("outside of the network", f"{more} more bits make {1 << more} subnets, not number {n}")
    base = int(network.network_address) + (n << (network.max_prefixlen - length))
    return f"{type(network.network_address)(base)}/{length}"


def cidrnetmask(prefix: Any) -> str:
    """The netmask of an IPv4 network."""
    network = _network(prefix)
    if network.version != 4:
        raise ExprError("wrong argument", "only IPv4 networks have a netmask")
    return str(network.netmask)


TABLE: Mapping[str, Row] = {
    "cidrhost": (cidrhost, 2, 2, 'address of a network: cidrhost("10.0.0.0/24", 5)', False),
    "cidrsubnet": (cidrsubnet, 3, 3, 'subnet of a network: cidrsubnet("10.0.0.0/16", 8, 3)', False),
    "cidrnetmask": (cidrnetmask, 1, 1, 'netmask of a network: cidrnetmask("10.0.0.0/24")', False),
    "cidrprefix": (lambda p: _network(p).prefixlen, 1, 1, "length of a network's prefix", False),
}
