"""`python -m tests.support.lossy tftp|http SIZE CLIENTS WINDOW`, as root of a network of its own: a transfer while
nftables drops 1 % of all packets.

The drops are at the *input* hook: a packet dropped at *output* would make its sender's call fail, as no network does.
Prints one JSON object: how many ended, with which digests, how many packets were dropped.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random

from providers.boot.images import FileDigests
from providers.boot.tree import Content
from tests.support.http_site import http_site
from tests.support.tftp_clients import read_all
from tests.support.tftp_site import tftp_site

RULES = """
table inet lossy {
  counter dropped { }
  chain input {
    type filter hook input priority 0; policy accept;
    meta l4proto { tcp, udp } numgen random mod 100 == 0 counter name dropped drop
  }
}
"""


def over_tftp(size: int, clients: int, window: int) -> dict[str, object]:
    with tftp_site(size=size) as at:
        outcome = read_all(at.server, "x", clients, window=window)
        return {"done": outcome.done, "equal": outcome.digests == {at.digest}, "failed": outcome.failed}


def over_http(size: int, clients: int, _window: int) -> dict[str, object]:
    content = Random(size).randbytes(size)
    digests: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        with http_site({"x": Content(FileDigests().read(path), "x")}) as site:
            threads = [threading.Thread(target=lambda: digests.append(hashlib.sha256(site.get("/x")[2]).hexdigest()))
                       for _ in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return {"done": len(digests), "equal": set(digests) == {hashlib.sha256(content).hexdigest()}, "failed": []}


def main(arguments: Sequence[str]) -> None:
    kind, *numbers = arguments
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
    size, clients, window = (int(number) for number in numbers)
    found = (over_tftp if kind == "tftp" else over_http)(size, clients, window)
    counted = subprocess.run(["nft", "list", "counters"], capture_output=True, text=True, check=True).stdout
    packets = re.search(r"packets (\d+)", counted)
    print(json.dumps({**found, "dropped": int(packets.group(1)) if packets else 0}))


if __name__ == "__main__":
    main(sys.argv[1:])
