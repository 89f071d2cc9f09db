"""The image that the machines of the end-to-end test boot: a Debian kernel, and an initramfs made of the kit.

Busybox brings the network up, openssl makes a certificate, and Python runs the midwife's payload. Nothing of it is
from this machine: the kit (`.ci/netboot-kit`) is Debian's own files.
"""

from __future__ import annotations

import ast
import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from providers.boot.modules import ModuleFile, build_cpio, midwife_module
from tests.support.places import locked

KIT = "FLEET_NETBOOT_KIT"
FORMAT = "1"
HERE = Path(__file__).parent
DRIVERS = ("virtio_pci", "virtio_net", "virtio-rng")
PROGRAMS = {"bin/busybox": "bin/busybox", "usr/bin/openssl": "usr/bin/openssl"}
LIBRARIES = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1", "libssl.so.3",
             "libcrypto.so.3", "libnss_files.so.2", "libresolv.so.2")
ALWAYS = ("encodings.idna", "encodings.ascii", "encodings.latin_1", "stringprep", "site", "_strptime", "runpy")
"""Modules that Python loads behind a script's back."""
KERNEL_OPTIONS = "console=ttyS0 no_timer_check panic=-1 loglevel=4 net.ifnames=0"
BOOT_CFG = """\
title=fleet end-to-end test
loader=linux
kernel=vmlinuz
kernelopt={options}
modules=initrd.img
build=8.0.3-0.0.24022510
"""


def kit() -> Path:
    """The kit's folder; the test is skipped where there is none."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(os.environ.get(KIT) or f"{cache}/fleet-netboot")
    try:
        made = (folder / "format").read_text().strip()
    except OSError:
        pytest.skip(f"no netboot kit in {folder}: run `.ci/netboot-kit`, or set {KIT} to its folder")
    if made != FORMAT:
        pytest.skip(f"the netboot kit in {folder} is of another version: run `.ci/netboot-kit`")
    return folder


def image(session: Path) -> Path:
    """The image's folder, made once per test session: `session` is a folder that all its workers share."""
    source, folder = kit(), session / "netboot-image"
    with locked(session / "netboot-image.lock"):
        if not folder.exists():
            made = session / "netboot-image.new"
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            shutil.copyfile(source / "vmlinuz", made / "vmlinuz")
            (made / "initrd.img").write_bytes(initramfs(source, session))
            (made / "boot.cfg").write_text(BOOT_CFG.format(options=KERNEL_OPTIONS))
            made.rename(folder)
    return folder


def variant(image: Path, folder: Path, build: str, *options: str) -> Path:
    """The same image as another build, with further kernel options: it plays that ESXi build."""
    folder.mkdir()
    for path in image.iterdir():
        shutil.copyfile(path, folder / path.name)
    text = BOOT_CFG.format(options=" ".join((KERNEL_OPTIONS, *options, f"plays={build}")))
    (folder / "boot.cfg").write_text(text.replace("24022510", build))
    return folder


def initramfs(source: Path, scratch: Path) -> bytes:
    """A gzip'd cpio. Raises CalledProcessError, OSError where the kit is not what it should be."""
    root = source / "root"
    files = {
        "init": _text(HERE / "guest_init"),
        "etc/udhcpc.sh": _text(HERE / "guest_lease"),
        "etc/door.py": _text(HERE / "guest_door.py"),
        "usr/lib/ssl/openssl.cnf": ModuleFile(b"[req]\ndistinguished_name=name\n[name]\n"),
        **{name: _program(root / path) for name, path in PROGRAMS.items()},
        **_drivers(source / "modules"),
        **_libraries(root),
        **_python(root, scratch),
    }
    # Our own writer of cpio archives, so that a real kernel reads what it writes; it does not compress.
    return gzip.compress(gzip.decompress(build_cpio(files)), compresslevel=6, mtime=0)


def _text(path: Path) -> ModuleFile:
    return ModuleFile(path.read_bytes(), 0o755)


def _program(path: Path) -> ModuleFile:
    return ModuleFile(path.read_bytes(), 0o755)


def _drivers(folder: Path) -> dict[str, ModuleFile]:
    """Kernel modules and the order to load them in: what a module needs stands in its own `depends=`."""
    known = {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}
    order: list[str] = []

    def add(name: str) -> None:
        needs = re.search(rb"\0depends=([^\0]*)\0", known[name].read_bytes())
        for each in needs.group(1).decode().split(",") if needs else []:
            if each:
                add(each.replace("-", "_"))
        if name not in order:
            order.append(name)

    for driver in DRIVERS:
        add(driver.replace("-", "_"))
    files = {f"modules/{name}.ko": ModuleFile(known[name].read_bytes()) for name in order}
    files["modules/order"] = ModuleFile("".join(f"{name}.ko\n" for name in order).encode())
    return files


def _libraries(root: Path) -> dict[str, ModuleFile]:
    files: dict[str, ModuleFile] = {}
    for name in LIBRARIES:
        found = next(path for path in (root / "lib/x86_64-linux-gnu" / name, root / "usr/lib/x86_64-linux-gnu" / name)
                     if path.exists())
        files[f"lib/x86_64-linux-gnu/{name}"] = ModuleFile(found.read_bytes(), 0o755)
    files["lib64/ld-linux-x86-64.so.2"] = files["lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"]
    return files


def _python(root: Path, scratch: Path) -> dict[str, ModuleFile]:
    """The interpreter, and of its library what the payload imports."""
    program = next(path for path in sorted((root / "usr/bin").glob("python3.*")) if path.name[8:].isdigit())
    folder = scratch / "netboot-python"
    shutil.rmtree(folder, ignore_errors=True)
    libraries = f"{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu"
    loader = root / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    subprocess.run([loader, "--library-path", libraries, program, "-B", HERE / "guest_python.py", folder,
                    *sorted(imports())],
                   check=True, env={"PYTHONHOME": str(root / "usr"), "PATH": os.environ["PATH"]})
    files = {f"usr/lib/{program.name}/{path.relative_to(folder)}": ModuleFile(path.read_bytes())
             for path in sorted(folder.rglob("*")) if path.is_file()}
    shutil.rmtree(folder)
    return files | {"usr/bin/python3": _program(program)}


def imports() -> set[str]:
    """Every module of the standard library that the payload, or the machine's own door, may import, inside of their
    functions as well."""
    found = set(ALWAYS)
    with tarfile.open(fileobj=io.BytesIO(midwife_module().content)) as archive:
        texts = [file.read() for name in archive.getnames()
                 if name.endswith(".py") and (file := archive.extractfile(name))]
    texts.append((HERE / "guest_door.py").read_bytes())
    for node in (node for text in texts for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in sys.stdlib_module_names and name != "__future__"}
