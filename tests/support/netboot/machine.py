"""A machine: real firmware in qemu, without KVM (firmware does not run on a virtual machine's KVM)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.netboot.wires import Network, end
from tests.support.tools import need

MEMORY = 256  # MiB; OVMF does not start with much less
OVMF = (("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"))
By = Literal["ipxe-tftp", "ipxe-http", "pxelinux", "uefi-pxe", "uefi-http"]
"""How a machine's firmware gets at its boot files."""

TAGS: dict[By, str] = {"ipxe-tftp": "tftp", "ipxe-http": "", "pxelinux": "pxelinux", "uefi-pxe": "", "uefi-http": ""}
"""The dnsmasq tag of a machine that boots so; what the others ask for tells enough."""


@dataclass
class Machine:
    """Switched off until `start`. `number` is its tap and the end of its MAC; `console` is what it says."""

    network: Network
    folder: Path
    number: int
    by: By
    clock: str = ""  # `-rtc base=`, where its clock is wrong
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts: int = 0
    seconds: float = 0.0  # from power-on to birth, once it is born
    _door: socket.socket | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"esx{self.number:02}"

    @property
    def mac(self) -> str:
        return f"52:54:00:99:00:{self.number:02}"

    @property
    def address(self) -> str:
        """What DHCP reserves for it, where the fleet's configuration is asked."""
        return f"10.99.0.1{self.number:02}"

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.mac))

    @property
    def serial(self) -> str:
        return f"E2E-{self.number:02}"

    @property
    def console(self) -> str:
        path = self.folder / f"{self.name}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Switch it on. From the main thread: it dies with the thread that started it."""
        assert self.process is None
        ours, theirs = socket.socketpair()
        self.starts += 1
        words = self.network.command(
            need("qemu-system-x86_64"), "-nodefaults", "-display", "none", "-machine", "pc", "-accel",
            "tcg,tb-size=128", "-smp", "1", "-m", MEMORY, "-uuid", self.uuid, "-smbios",
            f"type=1,product=fleet-e2e,serial={self.serial}",
            "-chardev", f"file,id=console,path={self.folder}/{self.name}.console,append=on",
            "-serial", "chardev:console", "-chardev", f"socket,id=door,fd={theirs.fileno()}",
            "-mon", "chardev=door,mode=control", "-netdev", self.network.netdev(self.number),
            "-device", "virtio-rng-pci", *(["-rtc", f"base={self.clock}"] if self.clock else []), *self._firmware())
        with theirs, (self.folder / f"{self.name}.qemu").open("ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[theirs.fileno()])
        self.started, self._door = time.monotonic(), ours
        ours.settimeout(60)
        self._answer()
        self.tell("qmp_capabilities")

    def _firmware(self) -> list[str]:
        device = f"virtio-net-pci,netdev=n0,mac={self.mac},bootindex=1"
        if self.by.startswith("uefi"):
            code, variables = next(pair for pair in OVMF if Path(pair[0]).exists())
            own = self.folder / f"{self.name}.vars"
            shutil.copyfile(variables, own)
            only_http = [part for version in (4, 6) for part in
                         ("-fw_cfg", f"name=opt/org.tianocore/IPv{version}PXESupport,string=n")]
            return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                    "-drive", f"if=pflash,unit=1,format=raw,file={own}",
                    "-device", f"{device},romfile=",  # no iPXE of qemu's: the firmware's own network stack
                    *(only_http if self.by == "uefi-http" else [])]
        return ["-device", device, "-boot", "order=n"]

    def tell(self, command: str, **arguments: Any) -> Any:
        """A command of qemu's machine protocol; what it returns."""
        assert self._door is not None
        self._door.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = self._answer()
            assert "error" not in reply, reply
            if "return" in reply:
                return reply["return"]

    def _answer(self) -> Any:
        """The next message; events among them."""
        assert self._door is not None
        line = b""
        while not line.endswith(b"\n"):
            piece = self._door.recv(1)
            assert piece, f"qemu has ended: {(self.folder / f'{self.name}.qemu').read_text()}"
            line += piece
        return json.loads(line)

    def reset(self) -> None:
        """Press the reset button."""
        self.started = time.monotonic()
        self.starts += 1
        self.tell("system_reset")

    def link(self, up: bool) -> None:
        """Plug the cable in, or pull it."""
        self.tell("set_link", name="n0", up=up)

    def kill(self) -> None:
        """Pull the plug."""
        end(self.process)
        if self._door is not None:
            self._door.close()
        self.process = self._door = None

    def memory(self) -> int:
        """MiB that it takes of this machine."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))
