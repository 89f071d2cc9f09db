"""The ways to be born, in one fleet, through the CLI: payload, agentless, and installed to a disk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from providers.twin.house import open_house
from tests.support.places import quick_folder
from tests.support.process import Site

PASSWORD = "First-Pw-1"
DENIED = "agentless births are denied"
HOSTS = """host:
  pay: {profile: compute, name: esx01.lab.example, mac: '52:54:00:00:00:11'}
  door: {profile: compute, name: esx02.lab.example, mac: '52:54:00:00:00:12', birth: agentless}
  disk:
    profile: compute
    name: esx03.lab.example
    mac: '52:54:00:00:00:13'
    initial_root_password: '${secret("file:secrets/first")}'
    install: {disk: first, overwrite_vmfs: true}
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with quick_folder() as folder:
        found = Site(folder)
        found.look("init")
        text = (folder / "fleet.yaml").read_text()
        (folder / "fleet.yaml").write_text(re.sub(r"^host:\n.*?(?=^output:)", HOSTS + "\n", text, flags=re.M | re.S))
        (folder / "secrets" / "first").write_text(PASSWORD + "\n")
        yield found


def test_three_ways_to_be_born(site: Site) -> None:
    plan = site.look("plan", "fleet.yaml", "--out", "p.plan").out
    assert re.search(r"host\.door: the certificate of this host is trusted on first use", plan)
    assert "what is on it is lost" in plan
    site.look("apply", "p.plan", "--auto-approve")
    site.look("plan", "fleet.yaml", "--detailed-exitcode")
    site.look("twin", "power", "fleet.yaml", "host.disk", "cycle")
    site.look("plan", "fleet.yaml", "--detailed-exitcode")  # it boots its disk, with everything that was configured
    site.look("drift", "fleet.yaml", "--detailed-exitcode")
    hosts = open_house(site.folder / ".fleet/lab/twin", "lab", machines=[], writable=False).dump()["hosts"]
    assert sorted(hosts) == ["esx01.lab.example", "esx02.lab.example", "esx03.lab.example"]
    kept = [path for path in (site.folder / ".fleet").rglob("*") if path.is_file()]
    assert len(kept) > 5
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def test_agentless_births_are_denied_at_plan(site: Site) -> None:
    text = (site.folder / "fleet.yaml").read_text()
    (site.folder / "fleet.yaml").write_text(text.replace("boot: {", "boot: {agentless: deny, "))
    failed = json.loads(site.look("plan", "fleet.yaml", "--json", code=1).out)
    assert [d["address"] for d in failed["diagnostics"] if d["summary"] == DENIED] == ["host.door"]
    assert DENIED in site.look("validate", "fleet.yaml", code=1).err
