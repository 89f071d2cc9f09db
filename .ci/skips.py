"""Fails when a test was skipped for another reason than absent recordings, or when no vcsim test ran.

Usage: skips.py JUNIT-FILE. Elsewhere a missing Go skips the simulator's tests; in CI it must not.
"""

import sys
import xml.etree.ElementTree as ElementTree


def main(path: str) -> int:
    vcsim, unexpected = 0, []
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if skipped is None:
            vcsim += "test_vcsim" in name
        elif "recordings" not in (skipped.get("message") or "") or "test_vcsim" in name:
            unexpected.append(f"{name}: {skipped.get('message')}")
    for line in unexpected:
        print("skipped, and may not be:", line)
    if not vcsim:
        print("no vcsim test ran")
    return 1 if unexpected or not vcsim else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
