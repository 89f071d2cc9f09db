"""The root folder of a host, for running the payload for real: its own module unpacked, and stand-ins for its tools.

Every stand-in is a script in `bin/` that answers from files of the root and notes in `calls` what it was asked. The
stand-in for python3 runs the real one with a clock that is the host's (`clock`: seconds off), and with time that
passes `SPEED` times as fast for pauses and time-outs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.boot.modules import KEY_PATH, LOCAL_SH, Kind, birth_module, midwife_module
from tests.support.tools import need

SPEED = 20
MAC = "52:54:00:00:00:11"
UUID = "564d0000-0000-4000-8000-525400000011"

_FAST = f'''
import http.client, os, runpy, socket, sys, time
root, speed = sys.argv.pop(1), {SPEED}
really, sleep, monotonic, connect = time.time, time.sleep, time.monotonic, socket.create_connection
def off():
    with open(root + "/clock") as file:
        return float(file.read())
def set_clock(_clock, seconds):
    with open(root + "/clock", "w") as file:
        file.write(str(seconds - really()))
time.time, time.monotonic = lambda: really() + off(), lambda: monotonic() * speed
time.sleep, time.clock_settime = lambda seconds: sleep(seconds / speed), set_clock
socket.create_connection = lambda to, timeout, *more: connect(to, timeout / speed, *more)
with open(root + "/pid", "w") as file:
    file.write(str(os.getpid()))
code = 70
try:
    sys.argv[0] = "-m"
    runpy.run_module("providers.boot.payload", run_name="__main__", alter_sys=True)
except SystemExit as ended:
    code = ended.code
finally:
    with open(root + "/ended." + str(os.getpid()) + ".new", "w") as file:
        file.write(str(code))
    os.rename(file.name, file.name[:-4])
'''

_PYTHON = """#!/bin/sh
case "$1 $2 $3" in
    "-B -m providers.boot.payload") exec {python} -B {root}/fast.py {root} ;;
    *) exec {python} "$@" ;;
esac
"""

_LOCALCLI = """#!/bin/sh
root={root}
name=${{0##*/}}
echo "$name $*" >>$root/calls
[ -e "$root/broken.$name" ] && exit 1
case "$*" in
    *"firewall ruleset list"*)
        printf '[{{"Name": "httpClient", "Enabled": %s}}]' "$(cat $root/httpClient)" ;;
    *"firewall ruleset set -e true -r httpClient")
        [ -e $root/broken.opening ] && exit 1
        echo true >$root/httpClient ;;
    *"firewall ruleset set -e false -r httpClient")
        [ -e $root/broken.closing ] && rm $root/broken.closing && exit 1
        echo false >$root/httpClient ;;
    *"system time set"*)
        [ -e $root/broken.time ] && exit 1
        shift 3
        wanted=$(date -u -d "$2-$4-$6 $8:${{10}}:${{12}}" +%s)
        echo $((wanted - $(date +%s))) >$root/clock ;;
    --formatter=json*)
        shift
        file="$root/answers/$(echo "$*" | tr ' ' _)"
        [ -e "$file" ] || exit 1
        cat "$file" ;;
    *) exit 1 ;;
esac
"""

_PRINTS = """#!/bin/sh
echo "${{0##*/}} $*" >>{root}/calls
[ "$1" = "{first}" ] || exit 1
cat {root}/answers/{answer}
"""


@dataclass
class HostRoot:
    """`kind`: tgz for an ESXi host, cpio for a Linux image."""

    folder: Path
    kind: Kind = "tgz"

    def install(self, cmdline: str, key: bytes, pem: str) -> HostRoot:
        """Unpack the modules with the real tools, and put the stand-ins beside them."""
        self.folder.mkdir(parents=True)
        self.unpack(midwife_module(self.kind).content)
        self.unpack(birth_module(key, self.kind))
        self.write("fast.py", _FAST)
        self.write("clock", "0")
        self.write("httpClient", "false\n")
        self.script("python3", _PYTHON.format(root=self.folder, python=sys.executable))
        for applet in ("mkdir", "cat", "date", "tr", "rm", "sh"):
            (self.folder / "bin" / applet).symlink_to(need("busybox"))
        (self._esxi if self.kind == "tgz" else self._linux)(cmdline, pem)
        return self

    def unpack(self, module: bytes) -> None:
        need("cpio", "gzip")
        how = ["tar", "xzf", "-"] if self.kind == "tgz" else ["sh", "-c", "gzip -dc | cpio --quiet -idmu"]
        subprocess.run(how, input=module, cwd=self.folder, check=True)

    def _esxi(self, cmdline: str, pem: str) -> None:
        for tool in ("localcli", "esxcli"):
            self.script(tool, _LOCALCLI.format(root=self.folder))
        for tool, first, text in (("bootOption", "-o", cmdline), ("esxcfg-info", "-u", UUID.upper()),
                                  ("vmware", "-v", "VMware ESXi 8.0.3 build-24022510")):
            self.script(tool, _PRINTS.format(root=self.folder, first=first, answer=tool))
            self.write(f"answers/{tool}", text + "\n")
        self.answer("hardware platform get", {"Serial Number": "VMW-1"})
        self.answer("network nic list", [{"MAC Address": MAC, "Link": "Up"}])
        self.answer("network ip interface list", [{"Name": "vmk0", "MAC Address": MAC}])
        self.address("10.0.0.9")
        self.write("etc/vmware/ssl/rui.crt", pem)

    def _linux(self, cmdline: str, pem: str) -> None:
        self.script("ip", _PRINTS.format(root=self.folder, first="-o", answer="ip"))
        self.script("date", "#!/bin/sh\nexit 1\n")
        self.address("10.0.0.9")
        self.write("proc/cmdline", f"quiet {cmdline}\n")
        self.write("sys/class/net/eth0/address", MAC + "\n")
        self.write("sys/class/dmi/id/product_uuid", UUID.upper() + "\n")
        self.write("etc/midwife/host.pem", pem)

    # --- what the outside does ---------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        """Replaced as one act, as everything may be read meanwhile."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + ".new").write_text(text)
        path.with_name(path.name + ".new").replace(path)

    def script(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.unlink(missing_ok=True)
        self.write(f"bin/{name}", text)
        path.chmod(0o755)

    def answer(self, words: str, answer: Any) -> None:
        self.write(f"answers/{words.replace(' ', '_')}", json.dumps(answer))

    def address(self, address: str) -> None:
        """The address of the lease; "" while there is none. IPv6 ones come beside the link's own."""
        if self.kind == "cpio":
            lines = ["1: lo    inet 127.0.0.1/8 scope host lo",
                     *([f"2: eth0    inet {address}/24 brd 10.0.0.255 scope global eth0"] if address else []),
                     "2: eth0    inet6 fe80::5054:ff:fe00:11/64 scope link"]
            self.write("answers/ip", "\n".join(lines) + "\n")
            return
        found = {"Name": "vmk0", "IPv4 Address": "169.254.3.3" if ":" in address else address or "0.0.0.0"}
        self.answer("network ip interface ipv4 get", [found])
        self.answer("network ip interface ipv6 address list",
                    [{"Interface": "vmk0", "Address": each} for each in ("fe80::1", address) if ":" in each])

    # --- running it --------------------------------------------------------------------------------------

    def boot(self) -> None:
        """What the end of the boot does: start the script, which returns at once."""
        began = time.monotonic()
        subprocess.run([need("busybox"), "sh", str(self.folder / LOCAL_SH)], check=True, timeout=60,
                       env={"HOME": "/nowhere"})
        assert time.monotonic() - began < 60

    def ended(self, times: int = 1, seconds: float = 60.0) -> list[int]:
        """Exit codes of the payloads, once so many have ended."""
        def codes() -> list[int]:
            return sorted(int(p.read_text()) for p in self.folder.glob("ended.*") if p.suffix != ".new")

        until(lambda: len(codes()) >= times, seconds, self.log)
        return codes()

    def run(self) -> int:
        self.boot()
        return self.ended()[-1]

    def signal(self, number: int) -> None:
        """To the payload itself."""
        os.kill(int((self.folder / "pid").read_text()), number)

    # --- what it did -------------------------------------------------------------------------------------

    def log(self) -> str:
        path = self.folder / "var/log/midwife.log"
        return path.read_text() if path.exists() else ""

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def firewall(self) -> list[str]:
        """"true" and "false": how the rule set was set, in order."""
        words = [call.split() for call in self.calls() if "firewall ruleset set" in call]
        assert all(each[-2:] == ["-r", "httpClient"] for each in words)
        return [each[each.index("-e") + 1] for each in words]

    def is_open(self) -> bool:
        return (self.folder / "httpClient").read_text().strip() == "true"

    def has_key(self) -> bool:
        return (self.folder / KEY_PATH).exists()


def until(true: Callable[[], bool], seconds: float = 60.0, why: Callable[[], str] = lambda: "") -> None:
    """Wait for something that another process is about to do."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it never happened: {why()}"
        time.sleep(0.01)
