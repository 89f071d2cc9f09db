"""Formats of text: each check returns the normal form of a text, or says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit


class Refused(Exception):
    """A value that its field does not take. `summary` without the value; `detail` may quote it."""

    def __init__(self, summary: str, detail: str, remedy: str = "") -> None:
        super().__init__(summary)
        self.summary, self.detail, self.remedy = summary, detail, remedy


_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}\Z")
_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}\Z")
_MAC_DOTS = re.compile(r"([0-9a-f]{4})\.([0-9a-f]{4})\.([0-9a-f]{4})\Z")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_SYSLOG = re.compile(r"(udp|tcp|ssl)://(\[[0-9A-Fa-f:.]+\]|[^:/\[\]@?#\s]+)(?::([0-9]{1,5}))?\Z")


def ipv4(text: str) -> str:
    """Dotted quad, RFC 791, without leading zeros."""
    if _IPV4.match(text):
        return text
    raise Refused("not an IPv4 address", repr(text), "write four numbers from 0 to 255, such as 10.0.0.5")


def ip(text: str) -> str:
    """IPv4 or IPv6 (normalised as RFC 5952 says)."""
    if _IPV4.match(text):
        return text
    if ":" in text and "%" not in text:
        from ipaddress import AddressValueError, IPv6Address

        try:
            return str(IPv6Address(text))
        except AddressValueError:
            pass
    raise Refused("not an IP address", repr(text), "write it as 10.0.0.5, or as 2001:db8::5")


def netmask(text: str) -> str:
    """A contiguous IPv4 netmask in dotted form, RFC 950."""
    if _IPV4.match(text):
        bits = "".join(f"{int(part):08b}" for part in text.split("."))
        if "01" not in bits and "1" in bits:
            return text
    remedy = "write it as 255.255.255.0"
    if text.isdigit() or text[:1] == "/":
        remedy = 'write it as 255.255.255.0, or as \'${cidrnetmask("10.0.0.0/24")}\''
    raise Refused("not a netmask", repr(text), remedy)


def mac(text: str) -> str:
    """EUI-48 in lower case with colons; hyphens and Cisco's dots are accepted."""
    lower = text.lower()
    if _MAC.match(lower):
        normal = lower.replace("-", ":")
    elif found := _MAC_DOTS.match(lower):
        digits = "".join(found.groups())
        normal = ":".join(digits[i:i + 2] for i in range(0, 12, 2))
    else:
        raise Refused("not a MAC address", repr(text), "write six pairs of hexadecimal digits: 52:54:00:12:34:56")
    if int(normal[:2], 16) & 1 or normal == "00:00:00:00:00:00":
        raise Refused("not the MAC address of one machine", f"{text!r} is a group address, or no address", "")
    return normal


def hostname(text: str) -> str:
    """One or more labels, RFC 1123; lower case stays a matter of the user."""
    return _name(text, "host name")


def fqdn(text: str) -> str:
    """A fully qualified name: at least two labels; an IP address is none."""
    _name(text, "fully qualified name")
    if "." not in text or _IPV4.match(text):
        raise Refused("not a fully qualified name", repr(text), "write it with its domain: esx01.lab.example")
    return text


def _name(text: str, what: str) -> str:
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.match(label) for label in labels):
        raise Refused(f"not a {what}", repr(text),
                      "letters, digits and hyphens in parts of at most 63 characters, joined by dots")
    return text


def quoted(text: str) -> str:
    """A text for a detail; one that may hold a password is not shown."""
    return "(not shown: it may contain a password)" if "@" in text else repr(text)


def url(text: str) -> str:
    """http or https with a host; no user information, since it would be a secret in plain text."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Refused("not a URL", quoted(text), "write it as https://name[:port]/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in text or port == 0:
        raise Refused("not a URL", quoted(text), "write it as https://name[:port]/path")
    if parts.username is not None or parts.password is not None:
        raise Refused("a URL with user information", "user names and passwords do not belong into a URL",
                      "use a secret for them")
    return text


def syslog_target(text: str) -> str:
    """`udp://host:port`, `tcp://…` or `ssl://…`, as Syslog.global.logHost takes them."""
    found = _SYSLOG.match(text)
    if found is not None:
        host, port = found.group(2), found.group(3)
        inner = host.strip("[]")
        if (port is None or 1 <= int(port) <= 65535) and (host[0] == "[" or _host(inner)):
            return text
    raise Refused("not a syslog target", quoted(text), "write it as udp://10.0.0.9:514, tcp://… or ssl://…")


def _host(text: str) -> bool:
    return bool(_IPV4.match(text)) or (len(text) <= 253 and all(_LABEL.match(part) for part in text.split(".")))


TEXT: Mapping[str, Callable[[str], str]] = {
    "ip": ip, "ipv4": ipv4, "netmask": netmask, "mac": mac, "hostname": hostname, "fqdn": fqdn, "url": url,
    "syslog_target": syslog_target,
}
"""Check name of a text field → function: returns the normal form, raises Refused."""

RANGES: Mapping[str, tuple[int, int]] = {"mtu": (1280, 9000), "vlan": (0, 4095), "port": (1, 65535)}
"""Check name of a number → the range it must be in."""

PATTERNS: Mapping[str, str] = {
    "ipv4": rf"^(?:{_OCTET}\.){{3}}{_OCTET}$",
    "netmask": rf"^(?:{_OCTET}\.){{3}}{_OCTET}$",
    "mac": r"^[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}$|^[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}$",
    "url": r"^https?://[^@\s]+$",
    "syslog_target": r"^(?:udp|tcp|ssl)://\S+$",
}
"""For JSON Schema: looser than the checks, never stricter."""
