"""`ks.cfg` for a scripted installation, and what the installed system runs at its first boot to announce its birth.

Commands are those of VMware's "Installation and Upgrade Script Commands" (ESXi 5 to 8). Rendered when it is fetched:
root's first password is in it as a SHA-512 crypt hash only, with a new salt each time, and is written nowhere.
"""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.boot.modules import CARRIED, KEY_PATH, PAYLOAD, PAYLOAD_FOLDER, ModuleFile, build_module
from providers.boot.payload import OPTIONS_FILE

if TYPE_CHECKING:
    from providers.boot.tree import Endpoints
    from providers.midwife.standing import Boot, Standing

ROUNDS = 5000  # the scheme's own default: the only one that every ESXi reads


def render(install: Mapping[str, Any], mac: str, password: str, key: str, options: Mapping[str, str] | None, *,
           root: str = "") -> bytes:
    """The kickstart of one boot. `key`: that boot's, 64 hex digits; `options`: what the payload finds on a kernel
    command line elsewhere, None where the birth is agentless. `root`: the password's hash, where nobody here knows
    the password itself. Raises ValueError on a password that cannot be hashed."""
    lines = [
        "# Made by fleet for one boot of one machine",
        "vmaccepteula",
        f"rootpw --iscrypted {root or crypted(password)}",
        f"install {' '.join(disk(install))}",
        f"network --bootproto=dhcp --device={mac}",
        "reboot",
    ]
    if options is not None:
        lines += ["", "%firstboot --interpreter=python", first_boot(key, options)]
    return ("\n".join(lines) + "\n").encode("ascii")


def options(standing: Standing, boot: Boot, ends: Endpoints) -> dict[str, str] | None:
    """What the payload of the installed system must know; None where its birth is agentless."""
    if standing.way.agentless:
        return None
    return {"midwife": ends.birth, "midwife_spki": ends.spki_sha256, "birth": boot.nonce,
            "BOOTIF": f"01-{standing.mac.replace(':', '-')}"}


def crypted(password: str) -> str:
    """SHA-512 crypt ("$6$…"). Raises ValueError on an empty password, which the installer refuses, or a NUL in it."""
    if not password:
        raise ValueError("the password is empty")
    from passlib.hash import sha512_crypt  # type: ignore[import-untyped]

    return str(sha512_crypt.using(rounds=ROUNDS).hash(password))


def disk(install: Mapping[str, Any]) -> list[str]:
    """Arguments of `install`. Without --overwritevmfs the installer refuses a disk with a VMFS volume, unless it is
    told to keep that."""
    wanted = str(install["disk"])
    if wanted == "first":
        found = ["--firstdisk"]
    elif wanted.startswith("firstdisk="):
        found = [f"--{wanted}"]
    else:
        found = [f"--disk={wanted}"]
    found.append("--overwritevmfs" if install.get("overwrite_vmfs") else "--preservevmfs")
    if install.get("datastore") is False:
        found.append("--novmfsondisk")
    return found


def first_boot(key: str, options: Mapping[str, str]) -> str:
    """The script, for the Python of the host. What it unpacks is in memory on ESXi, and gone with the next boot."""
    words = " ".join(f"{name}={value}" for name, value in options.items())
    here = Path(__file__).parent
    files = {f"{PAYLOAD_FOLDER}/providers/boot/{name}": ModuleFile((here / name).read_bytes()) for name in CARRIED}
    files[KEY_PATH] = ModuleFile(key.encode(), 0o400)
    files[OPTIONS_FILE.lstrip("/")] = ModuleFile(f"{words}\n".encode(), 0o400)
    text = "\n".join(textwrap.wrap(base64.b64encode(build_module(files)).decode(), 76))
    return _FIRST_BOOT.format(archive=text, folder=PAYLOAD_FOLDER, module=PAYLOAD)


def first_boot_archive(kickstart: str) -> bytes:
    """The `.tgz` inside a rendered kickstart. Raises ValueError where there is none."""
    parts = kickstart.split('"""')
    if len(parts) != 3:
        raise ValueError("the kickstart has no %firstboot of ours")
    return base64.b64decode(parts[1])


_FIRST_BOOT = '''root = "/"
import base64, io, os, subprocess, sys, tarfile
archive = io.BytesIO(base64.b64decode("""
{archive}
"""))
files = tarfile.open(fileobj=archive, mode="r:gz")
files.extractall(root)
if not os.path.isdir(root + "var/log"):
    os.makedirs(root + "var/log")
log = open(root + "var/log/midwife.log", "ab")
subprocess.Popen([sys.executable or "python3", "-B", "-m", "{module}"], cwd="/", close_fds=True,
                 env=dict(os.environ, PYTHONPATH=root + "{folder}"), stdin=open(os.devnull), stdout=log, stderr=log)'''
