"""Fails when a test was skipped for another reason than absent recordings, or when no vcsim test ran.

Usage: skips.py JUNIT-FILE [REASON…]: a skip whose reason has one of these words is allowed as well (network namespaces,
where the user has no right to make any). Elsewhere a missing Go skips the simulator's tests; in CI it must not.
"""

import sys
import xml.etree.ElementTree as ElementTree


def main(path: str, *reasons: str) -> int:
    vcsim, unexpected = 0, []
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if skipped is None:
            vcsim += "test_vcsim" in name
        elif "test_vcsim" in name or not any(
                reason in (skipped.get("message") or "") for reason in ("recordings", *reasons)):
            unexpected.append(f"{name}: {skipped.get('message')}")
    for line in unexpected:
        print("skipped, and may not be:", line)
    if not vcsim:
        print("no vcsim test ran")
    return 1 if unexpected or not vcsim else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
