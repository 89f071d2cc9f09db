"""What a payload asks of the system that it runs on: ESXi 6.5 and later, or Linux (rescue images).

Travels to the host with `payload` and obeys its rules: standard library of Python 3.5, annotations as texts.
"""

import json
import os
import platform
import subprocess
import time

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

RULESET = "httpClient"
UNREADABLE = (OSError, ValueError, LookupError, AttributeError, TypeError, subprocess.SubprocessError)
"""What reading raises where a tool is not there, fails, or says something else than expected."""


class NotReady(Exception):
    """Something that comes late (link, address, certificate) is not there yet."""


def boot_options(text: str) -> "dict[str, str]":
    """`name=value` words of the kernel command line."""
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def run(*command: str) -> str:
    """Standard output of a command. Raises OSError, SubprocessError."""
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,  # noqa: S603
                          stderr=subprocess.DEVNULL, timeout=60)
    return done.stdout.decode("utf-8", "replace")


class Esxi:
    """ESXi 6.5 and later. `localcli` works before hostd does; where it fails, `esxcli` is asked."""

    certificate = "/etc/vmware/ssl/rui.crt"

    def __init__(self, root: str = "", run: "Callable[..., str]" = run) -> None:
        self.root, self.run = root, run

    def options(self) -> "dict[str, str]":
        for flag in ("-o", "-roC"):
            try:
                found = boot_options(self.run("bootOption", flag))
            except (OSError, subprocess.SubprocessError):
                continue
            if found:
                return found
        return {}

    def facts(self, booted: str, v6: bool) -> "dict[str, str]":
        """Hardware identity: never /system/uuid, which copied state duplicates. Raises NotReady and what tools do."""
        address = self._address(v6)
        return {
            "mac": booted or self._mac(),
            "uuid": self.run("esxcfg-info", "-u").strip().lower(),
            "serial": str(self._ask("hardware", "platform", "get").get("Serial Number", "")).strip() or "unknown",
            "address": address,
            "version": self.run("vmware", "-v").strip(),
        }

    def _ask(self, *words: str) -> "Any":
        try:
            return json.loads(self.run("localcli", "--formatter=json", *words))
        except (OSError, ValueError, subprocess.SubprocessError):
            return json.loads(self.run("esxcli", "--formatter=json", *words))

    def _address(self, v6: bool) -> str:
        if v6:
            rows = self._ask("network", "ip", "interface", "ipv6", "address", "list")
            found = [(row.get("Interface"), row.get("Address")) for row in rows]
        else:
            rows = self._ask("network", "ip", "interface", "ipv4", "get")
            found = [(row.get("Name"), row.get("IPv4 Address")) for row in rows]
        return _first_address([(str(name), str(address)) for name, address in found if name and address])

    def _mac(self) -> str:
        """Where the boot loader named none: vmk0's, which is that of the NIC it was booted from."""
        nics = [row for row in self._ask("network", "nic", "list") if row.get("MAC Address")]
        known = [str(row["MAC Address"]).lower() for row in nics]
        for row in self._ask("network", "ip", "interface", "list"):
            mac = str(row.get("MAC Address", "")).lower()
            if row.get("Name") == "vmk0" and mac in known:
                return mac
        up = [str(row["MAC Address"]).lower() for row in nics if row.get("Link", row.get("Link Status")) == "Up"]
        return (up or known)[0]

    def is_open(self) -> bool:
        rows = self._ask("network", "firewall", "ruleset", "list", "-r", RULESET)
        return any(row.get("Name") == RULESET and row.get("Enabled") is True for row in rows)

    def open(self, wanted: bool) -> None:
        """Only the rule set that lets a host ask outwards on 80 and 443, never the whole firewall."""
        self.run("localcli", "network", "firewall", "ruleset", "set", "-e", "true" if wanted else "false",
                 "-r", RULESET)

    def set_clock(self, seconds: float) -> None:
        now = time.gmtime(seconds)
        words = ("system", "time", "set", "-y", str(now.tm_year), "-M", str(now.tm_mon), "-d", str(now.tm_mday),
                 "-H", str(now.tm_hour), "-m", str(now.tm_min), "-s", str(now.tm_sec))
        try:
            self.run("localcli", *words)
        except (OSError, subprocess.SubprocessError):
            self.run("esxcli", *words)


class Linux:
    """A kernel with an initramfs. Its own init makes the certificate (and may say in `version` what it is)."""

    certificate, version = "/etc/midwife/host.pem", "/etc/midwife/version"

    def __init__(self, root: str = "", run: "Callable[..., str]" = run) -> None:
        self.root, self.run = root, run

    def options(self) -> "dict[str, str]":
        return boot_options(read(self.root + "/proc/cmdline"))

    def facts(self, booted: str, v6: bool) -> "dict[str, str]":
        rows = [line.split() for line in self.run("ip", "-o", "addr", "show").splitlines()]
        family = "inet6" if v6 else "inet"
        found = [(row[1].split("@")[0].rstrip(":"), row[3].split("/")[0]) for row in rows
                 if len(row) > 3 and row[2] == family]
        address = _first_address(found)
        device = next(name for name, each in found if each == address)
        dmi = self.root + "/sys/class/dmi/id/"
        return {
            "mac": booted or read(self.root + "/sys/class/net/" + device + "/address").strip().lower(),
            "uuid": read(dmi + "product_uuid").strip().lower(),
            "serial": read_or(dmi + "product_serial", "").strip() or "unknown",
            "address": address,
            "version": read_or(self.root + self.version, "").strip() or "Linux " + platform.release(),
        }

    def is_open(self) -> bool:
        return True  # a rescue image has no firewall of its own

    def open(self, wanted: bool) -> None:
        raise OSError("there is no rule set to change")

    def set_clock(self, seconds: float) -> None:
        try:
            time.clock_settime(time.CLOCK_REALTIME, seconds)
        except OSError:
            self.run("date", "-u", "-s", "@{}".format(int(seconds)))


def _first_address(found: "list[tuple[str, str]]") -> str:
    """The first that others can reach, in order of adapters (vmk0 before vmk1). Raises NotReady."""
    for _, address in sorted(found, key=lambda each: each[0]):
        low = address.lower()
        if low not in ("0.0.0.0", "::", "::1") and not low.startswith(("127.", "169.254.", "fe80:")):  # noqa: S104
            return address
    raise NotReady("there is no address yet")


def read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def read_or(path: str, other: str) -> str:
    try:
        return read(path)
    except OSError:
        return other


def what(error: Exception) -> str:
    """A reason without arguments: those could hold what must not be printed."""
    if isinstance(error, OSError) and error.strerror:
        return "{}: {}".format(error.strerror, os.path.basename(str(error.filename or "")))
    if isinstance(error, subprocess.CalledProcessError):
        return "{} ended with {}".format(os.path.basename(str(error.cmd[0])), error.returncode)
    return error.__class__.__name__
