"""A boot storm: `python -m tests.benchmarks.bench_births FOLDER SIZE`, measured from outside.

SIZE births, a tenth as many duplicates and a hundredth as many forgeries over TLS, each from an address of its own,
at over three times the rate of the target (5,000 in 60 s), posted by other processes whose CPU time does not count.
It fails where an acknowledged birth is not in the inbox afterwards, or where a reply is another than it must be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from providers.midwife.inbox import Inbox
from tests.benchmarks.measure import Reading, Work
from tests.support.birth_server import serving

ROOT = Path(__file__).parents[2]
RATE = 300
PROCESSES = 2


def storm(folder: Path, size: int) -> None:
    with serving(folder) as (port, _):
        arguments = [folder, port, RATE, size // 10, size // 100, PROCESSES]
        hosts = subprocess.Popen([sys.executable, "-m", "tests.support.birth_storm", *map(str, arguments)], cwd=ROOT,
                                 stdout=subprocess.PIPE, text=True)
        assert hosts.stdout is not None
        with hosts.stdout:
            found = json.loads(hosts.stdout.read())
        hosts.returncode = 0  # never waited for: the CPU time of children that were would count as ours
    expected = {"200": size // 10, "201": size, "401": size // 100}
    assert found["replies"] == expected, found["replies"]
    inbox = Inbox(folder / "midwife")
    assert {mac for mac, _ in inbox.macs()} == set(found["acknowledged"])
    assert sum(1 for _ in inbox) == size
    inbox.close()
    (folder / "storm.json").write_text(json.dumps(found))


def prepare(folder: Path, size: int) -> None:
    from tests.support.birth_storm import stage

    stage(folder, size)


def command(folder: Path, size: int) -> Sequence[str]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks.bench_births import main; main()"
    return [sys.executable, "-c", start, str(folder), str(size)]


def readings(folder: Path) -> Sequence[Reading]:
    found = json.loads((folder / "storm.json").read_text())
    return [Reading("reply, 99th percentile", found["p99"], 100, "ms")]


WORKS = (
    Work("births", "5,000 births, 500 duplicates, 50 forgeries over TLS", 5_000, 10.0, command, prepare, memory=150,
         repeats=2, readings=readings),
)


def main() -> None:
    storm(Path(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
