"""Fails when a test was skipped for another reason than absent recordings, or when no test of a peer ran.

Usage: skips.py JUNIT-FILE [REASON…]: a skip whose reason has one of these words is allowed as well (network namespaces,
where the user has no right to make any). Elsewhere a missing Go skips the tests of the peers; in CI it must not.
"""

import sys
import xml.etree.ElementTree as ElementTree

PEERS = ("test_vcsim", "test_govc", "test_differential")
"""Modules that are held against programs that Go builds."""


def main(path: str, *reasons: str) -> int:
    ran, unexpected = set(), []
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        peers = {peer for peer in PEERS if peer in name}
        if skipped is None:
            ran |= peers
        elif peers or not any(
                reason in (skipped.get("message") or "") for reason in ("recordings", *reasons)):
            unexpected.append(f"{name}: {skipped.get('message')}")
    for line in unexpected:
        print("skipped, and may not be:", line)
    for peer in sorted(set(PEERS) - ran):
        print(f"no test of {peer} ran")
    return 1 if unexpected or set(PEERS) - ran else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
