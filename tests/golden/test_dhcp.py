"""What `fleet dhcp` renders, letter by letter; and the real daemons take it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.dhcp.fleets import dnsmasq_accepts, kea_accepts, render, write_images

GOLDEN = Path(__file__).parent / "dhcp"
FILES = {"dnsmasq": "dnsmasq.conf", "dnsmasq-proxy": "proxy.conf", "kea": "kea.json"}


def rendered(fleet: str, server: str, folder: Path) -> str:
    write_images(folder)
    return render(Path(shutil.copy(GOLDEN / f"{fleet}.yaml", folder)), server)


@pytest.mark.parametrize("server", FILES)
@pytest.mark.parametrize("fleet", ["many", "apart"])
def test_a_rendering_is_the_golden_file(fleet: str, server: str, tmp_path: Path) -> None:
    """Renew with FLEET_GOLDEN=1 in the environment, and look at the difference."""
    path = GOLDEN / f"{fleet}.{FILES[server]}"
    found = rendered(fleet, server, tmp_path)
    if os.environ.get("FLEET_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("fleet", ["many", "apart"])
@pytest.mark.parametrize("server", ["dnsmasq", "dnsmasq-proxy"])
def test_dnsmasq_takes_it(fleet: str, server: str, tmp_path: Path) -> None:
    assert dnsmasq_accepts((GOLDEN / f"{fleet}.{FILES[server]}").read_text(), tmp_path) == ""


@pytest.mark.parametrize("fleet", ["many", "apart"])
def test_kea_takes_it(fleet: str, tmp_path: Path) -> None:
    assert kea_accepts((GOLDEN / f"{fleet}.kea.json").read_text(), tmp_path) == ""


def test_the_daemons_can_refuse(tmp_path: Path) -> None:
    text = (GOLDEN / "many.dnsmasq.conf").read_text()
    assert "bad option" in dnsmasq_accepts(f"{text}no-such-option\n", tmp_path)
    text = (GOLDEN / "many.kea.json").read_text()
    assert "pool" in kea_accepts(text.replace("10.0.0.100 - ", "10.0.9.100 - "), tmp_path)
