"""What tests need of the machine that they run on: programs of Debian packages, network namespaces.

Where something is missing the test skips and says what; CI runs with everything and takes a skip for a failure.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import subprocess

import pytest

_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def need(*names: str) -> str:
    """The path of the first of these programs; skips the test where one of them is not installed."""
    found = {name: shutil.which(name, path=_PLACES) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")
    return str(found[names[0]])


def need_namespaces() -> None:
    """Skips the test where this machine or user may not make network namespaces with interfaces in them."""
    need("ip", "unshare")
    why = _namespaces_refused()
    if why:
        pytest.skip(f"no network namespaces here: {why}")


def need_ipv6() -> None:
    """Skips the test on a machine without an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def own_network() -> tuple[str, ...]:
    """What to put before a command so that it runs as root of a network of its own, with a firewall to set up.

    Root has that right; others get it where the kernel gives them user namespaces. Skips the test elsewhere.
    """
    prefix = (need("unshare"), "--net") if os.geteuid() == 0 else (need("unshare"), "--map-root-user", "--net")
    why = _refused((*prefix, need("nft"), "add", "table", "ip", "fleet"))
    if why:
        pytest.skip(f"no network namespaces here: {why}")
    return prefix


@functools.cache
def _refused(command: tuple[str, ...]) -> str:
    """What the command complains about; "" where it works."""
    tried = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"exit code {tried.returncode}"


@functools.cache
def _namespaces_refused() -> str:
    """Why not; "" where they can be made."""
    tried = subprocess.run(["unshare", "--net", "ip", "link", "add", "name", "a", "type", "veth", "peer", "name", "b"],
                           capture_output=True, text=True, timeout=20, check=False)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"exit code {tried.returncode}"
