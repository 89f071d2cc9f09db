"""A fleet applied by runner processes against a midwife process: staged there, born there, remembered there."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.midwife.view import STAGES
from tests.support.midwife import Service, service
from tests.support.places import quick_folder
from tests.support.process import Site

PASSWORD = "First-Pw-1"
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


@dataclass
class Far:
    """A runner's folder, and the midwife that is another machine to it."""

    site: Site
    midwife: Service
    folder: Path

    def clean_machine(self) -> None:
        """The next command runs on a machine that has never seen this fleet; the twin plays the outside world."""
        for path in (self.site.folder / ".fleet").iterdir():
            for inner in path.iterdir() if path.name == "lab" else [path]:
                if inner.name != "twin":
                    shutil.rmtree(inner) if inner.is_dir() else inner.unlink()


@pytest.fixture
def far() -> Iterator[Far]:
    with quick_folder() as folder, service(folder, "--page", "127.0.0.1:0") as midwife:
        runner = folder / "runner"
        runner.mkdir()
        found = Site(runner)
        found.look("init")
        text = (runner / "fleet.yaml").read_text()
        text = re.sub(r"^host:\n.*?(?=^output:)", HOSTS + "\n", text, flags=re.M | re.S)
        text = re.sub(r"boot: \{[^}]*\}", f"boot: {{midwife: '{midwife.url}', "
                                          "identity: '${secret(\"file:secrets/lab.pem\")}'}", text)
        assert midwife.url in text
        (runner / "fleet.yaml").write_text(text)
        (runner / "secrets" / "first").write_text(PASSWORD + "\n")
        (runner / "secrets" / "lab.pem").write_text(midwife.identity("lab"))
        yield Far(found, midwife, folder)


def page_of(midwife: Service) -> dict[str, tuple[int, str]]:
    """Host → its stage and its problem, as the page is told."""
    with urllib.request.urlopen(f"{midwife.said['page']}/births.json") as reply:
        return {one["name"]: (one["stage"], one["problem"]) for one in json.load(reply)["hosts"]}


def test_three_ways_to_be_born_at_a_remote_midwife(far: Far) -> None:
    site = far.site
    site.run("validate", "fleet.yaml")
    site.run("plan", "fleet.yaml", "--out", "p.plan")
    applied = site.run("apply", "p.plan", "--auto-approve")
    assert "uploading" in applied.err
    assert "MiB to the midwife" in applied.err
    assert page_of(far.midwife) == {f"esx0{n}.lab.example": (len(STAGES), "") for n in (1, 2, 3)}
    far.clean_machine()
    site.run("plan", "fleet.yaml", "--detailed-exitcode")
    site.run("drift", "fleet.yaml", "--detailed-exitcode")
    births = json.loads(site.run("births", "fleet.yaml", "--json").out)["births"]
    assert sorted((b["host"], b["how"]) for b in births if b["accepted"]) == [
        ("host.disk", "payload"), ("host.door", "agentless"), ("host.pay", "payload")]
    kept = [path for path in far.midwife.folder.rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]
    site.run("twin", "power", "fleet.yaml", "host.disk", "cycle")  # nothing stands for it: it boots its disk
    site.run("plan", "fleet.yaml", "--detailed-exitcode")
