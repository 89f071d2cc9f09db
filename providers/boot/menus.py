"""What boot loaders read besides boot.cfg: iPXE scripts and pxelinux configurations, rendered for one machine.

iPXE gets absolute URLs, so that everything big travels by HTTP whatever the script came by. pxelinux (3.86 knows no
HTTP, and takes file names of up to 127 characters) gets names relative to the tree's root; every file of one boot is
below that boot's own folder, `01-<mac>/<boot>/`. Sources: iPXE's and Syslinux' command references, and VMware's
esx-boot (mboot finds its boot.cfg by `-c`; `BOOTIF=` has to be given when iPXE loads it).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from providers.boot.bootcfg import BootCfg, kernel_options, render
from providers.boot.images import Manifest

PAUSE_SECONDS = 10
RELATIVE = "tftp"
"""`01-<mac>/tftp/boot.cfg`: the boot.cfg for loaders that have TFTP only (mboot.c32 below pxelinux)."""

LOCAL_PXELINUX = b"DEFAULT disk\nPROMPT 0\nLABEL disk\n  LOCALBOOT 0\n"
LOCAL_IPXE = b"""#!ipxe
echo This machine boots from its own disk
iseq ${platform} efi && goto efi ||
exit 0
:efi
exit 1
"""
"""BIOS goes on after any exit; UEFI's boot manager tries its next entry only after an error."""
LOCAL_BOOTCFG = b"title=This machine boots from its own disk\nskip=1\nerrtimeout=5\n"
"""mboot of ESXi 9 leaves with an error at `skip=1`, so that firmware tries its next entry (esx-boot, config.c)."""

ROOT_IPXE = f"""#!ipxe
:retry
chain --autofree --replace 01-${{netX/mac:hexhyp}}/boot.ipxe ||
echo Nothing is staged for ${{netX/mac}} yet; asking again in {PAUSE_SECONDS} s
sleep {PAUSE_SECONDS}
goto retry
""".encode()


def hexhyp(mac: str) -> str:
    """"52:54:00:12:34:56" → "01-52-54-00-12-34-56", as boot loaders write it."""
    return f"01-{mac.replace(':', '-')}"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One boot of one machine: what its files are rendered from. `options` are ours, after the image's own."""

    mac: str
    boot: str  # id
    image: Manifest
    http: str  # http://10.0.0.2:8080
    options: tuple[str, ...]
    midwife: str  # name of the module that is the same for every machine; "" where none is given
    birth: str  # name of this boot's own module; "" where none is given
    install: bool = False  # the image's installer runs

    @property
    def folder(self) -> str:
        return f"{hexhyp(self.mac)}/{self.boot}"

    @property
    def base(self) -> str:
        """Where the image's files are; an agentless boot is recognised by the folder that it fetches from."""
        return f"{self.http}/images/{self.image.digest}" if self.birth else f"{self.http}/{self.folder}"

    def ours(self, *, relative: bool) -> tuple[str, ...]:
        """The modules that come after the image's own: URLs, or names in the boot's folder."""
        names = tuple(name for name in (self.midwife, self.birth) if name)
        if relative:
            return names
        folders = {self.midwife: "modules", self.birth: self.folder}
        return tuple(f"{self.http}/{folders[name]}/{name}" for name in names)

    def words(self) -> list[str]:
        """The whole kernel command line."""
        return [*kernel_options(self.image.cfg, install=self.install), *self.options]


def bootcfg(ticket: Ticket, *, relative: bool = False) -> bytes:
    """boot.cfg for mboot; `relative`: every file is in the boot's own folder."""
    prefix = ticket.folder if relative else ticket.base
    return render(ticket.image.cfg, prefix=prefix, kernelopt=ticket.options, modules=ticket.ours(relative=relative),
                  install=ticket.install).encode()


# --- iPXE ---------------------------------------------------------------------------------------------------


def ipxe(ticket: Ticket) -> bytes:
    """`01-<mac>/boot.ipxe`. A failed transfer starts over with a new boot, after a pause, for ever."""
    load = {"linux": _ipxe_linux, "legacy": _ipxe_legacy, "mboot": _ipxe_mboot}[ticket.image.loader]
    lines = ["#!ipxe", "imgfree", *load(ticket), ":failed", f"echo The boot failed; again in {PAUSE_SECONDS} s",
             f"sleep {PAUSE_SECONDS}", "imgfree", "chain --autofree --replace boot.ipxe || goto failed"]
    return ("\n".join(lines) + "\n").encode()


def _ipxe_linux(ticket: Ticket) -> Iterable[str]:
    base = ticket.base
    urls = [*(f"{base}/{name}" for name in _plain(ticket.image.cfg)), *ticket.ours(relative=False)]
    named = [(f"{number}-{url.rsplit('/', 1)[1]}", url) for number, url in enumerate(urls, start=1)]
    # UEFI kernels older than 5.7 take their initramfs by `initrd=`; all others ignore it.
    words = [*ticket.words(), *(f"initrd={name}" for name, _ in named)]
    yield f"kernel {base}/{ticket.image.cfg.kernel} {' '.join(words)} || goto failed"
    for name, url in named:
        yield f"initrd --name {name} {url} || goto failed"
    yield "boot || goto failed"


def _ipxe_legacy(ticket: Ticket) -> Iterable[str]:
    """ESX 3.5 and 4: mboot.c32 takes kernel and modules as arguments. BIOS only."""
    base = ticket.base
    parts = [f"{base}/{ticket.image.cfg.kernel} {' '.join(ticket.words())}",
             *(f"{base}/{module}" for module in ticket.image.cfg.modules), *ticket.ours(relative=False)]
    yield from _refuse_efi()
    yield f"kernel {base}/mboot.c32 {' --- '.join(parts)} || goto failed"
    yield "boot || goto failed"


def _refuse_efi() -> Iterable[str]:
    yield "iseq ${platform} efi || goto bios"
    yield "echo This image boots on BIOS only"
    yield "goto failed"
    yield ":bios"


def _ipxe_mboot(ticket: Ticket) -> Iterable[str]:
    folder = f"{ticket.http}/{hexhyp(ticket.mac)}"
    yield "iseq ${platform} efi || goto bios"
    yield from _mboot(ticket, folder, "mboot.efi", "UEFI")
    yield "goto failed"
    yield ":bios"
    yield from _mboot(ticket, folder, "mboot.c32", "BIOS")


def _mboot(ticket: Ticket, folder: str, loader: str, firmware: str) -> Iterable[str]:
    if loader not in ticket.image.files:
        yield f"echo This image has no {loader}, which {firmware} needs"
        return
    yield f"kernel {folder}/{loader} -c {folder}/boot.cfg || goto failed"
    yield "boot || goto failed"


# --- pxelinux -----------------------------------------------------------------------------------------------


def pxelinux(ticket: Ticket) -> bytes:
    """`pxelinux.cfg/01-<mac>`."""
    folder, cfg = ticket.folder, ticket.image.cfg
    ours = [f"{folder}/{name}" for name in ticket.ours(relative=True)]
    words = " ".join(ticket.words())
    if ticket.image.loader == "linux":
        files = [*(f"{folder}/{name}" for name in _plain(cfg)), *ours]
        kernel, append = f"{folder}/{cfg.kernel}", f"initrd={','.join(files)} {words}"
    elif ticket.image.loader == "legacy":
        modules = [*(f"{folder}/{module}" for module in cfg.modules), *ours]
        kernel, append = f"{folder}/mboot.c32", " --- ".join([f"{folder}/{cfg.kernel} {words}", *modules])
    else:
        mine = hexhyp(ticket.mac)
        kernel, append = f"{mine}/mboot.c32", f"-c {mine}/{RELATIVE}/boot.cfg"
    lines = ["DEFAULT fleet", "PROMPT 0", "NOHALT 1", "LABEL fleet", f"  KERNEL {kernel}", f"  APPEND {append}"]
    return ("\n".join(lines) + "\n").encode()


def _plain(cfg: BootCfg) -> list[str]:
    """Names of modules without their arguments, which Linux has none of."""
    return [module.split()[0] for module in cfg.modules]
