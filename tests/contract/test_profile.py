"""Hosts of the profile `esxi-8.0.3` against the recorded ESXi 8.0.3 host: as much of all that is read in bulk."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from providers.twin.profile import ESXI8
from providers.twin.serving import new_house
from providers.vsphere.collector import Collector
from providers.vsphere.link import Link
from tests.contract.test_bulk_paths import asked, properties, recorded, walked
from tests.support.wire_values import content_xml

MORE = ("config.storageDevice.scsiLun",)
OTHERWISE = {
    "config.option": "the twin knows the options that people set, a hundred of 1,289",
    "config.optionDef": "as config.option",
    "config.vsanHostConfig": "vSAN is not set up on the twin's hosts",
    "config.dateTimeInfo": "the recorded host carries the text of ntp.conf",
    "config.network.netStackInstance": "the recorded host has IPv6 routes",
    "config.network.routeTableInfo": "as config.network.netStackInstance",
    "config.network.vswitch": "two switches, so that there is a second one to configure",
}


def elements(path: str, value: Any) -> int:
    return content_xml("host-1", {path: value}).count("</")


@recorded
def test_a_host_of_the_profile_has_as_much_as_the_recorded_one() -> None:
    """Half to twice as many elements at each path; and a third more or less in all."""
    config = properties()["config"]
    house = new_house(1, ESXI8)
    link = Link(house.stub(), lambda _content: None)
    link.connect(vim.ServiceInstance("ServiceInstance", link.stub).RetrieveContent())
    paths = {path: told for path in (*asked(keyed=False), *MORE) if path.startswith("config.")
             and (told := walked(config, path.partition(".")[2])) is not None and elements(path, told) > 12}
    (row,) = Collector(link).below(link.content.rootFolder, {vim.HostSystem: list(paths)})
    pairs = {path: (elements(path, row.props.get(path)), elements(path, told)) for path, told in paths.items()}
    wrong = {path: (ours, theirs) for path, (ours, theirs) in pairs.items()
             if path not in OTHERWISE and not theirs / 2 <= ours <= 2 * theirs}
    assert wrong == {}
    ours, theirs = (sum(pair[n] for path, pair in pairs.items() if path not in OTHERWISE) for n in (0, 1))
    assert 0.7 < ours / theirs < 1.4, (ours, theirs)
    assert len(pairs) >= 12


@pytest.mark.parametrize("field", ["uuid", "serial", "mac", "ip", "disk"])
def test_each_host_of_the_profile_is_one_of_its_own(field: str) -> None:
    from providers.twin.model import Box
    from providers.twin.san import local_disk

    boxes = list(new_house(20, ESXI8).inventory.all(Box))
    found = {local_disk(box) if field == "disk" else getattr(box, field) for box in boxes}
    assert len(found) == 20
    assert len({mac for box in boxes for mac in box.nics}) == 80
