"""Birth messages that a test posts itself: forged, replayed, a stranger's.

Runs inside of the boot network as a program: `births URL SPKI < BODY` posts the body to the pinned listener and prints
the status and the reply as JSON.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from providers.boot.payload import message, post
from tests.support.netboot.wires import Network

ROOT = Path(__file__).parents[3]


def signed(record: dict[str, Any], nonce: str, key: bytes, clock: float, **changed: str) -> bytes:
    """A birth message of an accepted birth's facts, with another nonce, key or clock."""
    facts = {name: record[name] for name in ("mac", "uuid", "serial", "certificate", "thumbprint")}
    facts |= {"address": record["ip"], "version": f"VMware ESXi {record['version']} build-{record['build']}"}
    return message({**facts, **changed}, nonce, key, clock)


def replayed(record: dict[str, Any], boot: dict[str, Any]) -> bytes:
    """The very bytes of an accepted birth. Its clock is not written down, but the digest of all bytes is."""
    about = int(datetime.fromisoformat(record["born"]).timestamp())
    for clock in sorted(range(about - 400, about + 400), key=lambda each: abs(each - about)):
        body = signed(record, boot["nonce"], bytes.fromhex(boot["key"]), clock)
        if hashlib.sha256(body).hexdigest() == record["body_sha256"]:
            return body
    raise AssertionError("the birth cannot be composed again")


def deliver(network: Network, body: bytes, spki: str) -> tuple[int, str]:
    """Post it to the real listener. The status, and the reason in the reply."""
    url = f"https://{network.address}:{network.ports['birth']}"
    done = subprocess.run(network.command(sys.executable, "-m", "tests.support.netboot.births", url, spki), input=body,
                          capture_output=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    status, reply = json.loads(done.stdout)
    return int(status), str(reply.get("error", ""))


if __name__ == "__main__":
    print(json.dumps(post(sys.argv[1], sys.argv[2], sys.stdin.buffer.read())))
