"""The streaming reader against pyVmomi on whole answers: every property path of the catalogue, from the twin over
HTTPS, from vcsim, and from recorded answers of a real vCenter 8.0.3."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapter

from providers.twin.house import PASSWORD, USER
from providers.twin.profile import PROFILES
from providers.twin.serving import Serving, new_house, open_server
from providers.twin.soap.request import parse_request
from providers.vsphere.bulk.answer import Reader
from providers.vsphere.bulk.pieces import Pieces
from providers.vsphere.connect import Trust, open_stub, speak
from providers.vsphere.paths import CHILDREN, STATUS, paths_for
from tests.contract.test_recordings import FOLDER, NAMES, _interactions
from tests.contract.vcsim.peer import build, running
from tests.support.wire_values import Stub, answer, by_pyvmomi, content_xml, difference

NAMED = {"TSM-SSH", "ntpd", "Syslog.global.logHost", "UserVars.SuppressShellWarning", "Config.HostAgent.log.level",
         "syslog", "sshServer"}
COLLECTOR: Any = vmodl.query.PropertyCollector


def asked(*, keyed: bool) -> tuple[str, ...]:
    """All that the catalogue reads of a host."""
    paths = paths_for({rtype: NAMED for rtype in CHILDREN}).asked(keyed=keyed)
    assert set(STATUS) < set(paths)
    return paths


def hosts_below(content: Any, paths: tuple[str, ...]) -> list[Any]:
    """Arguments of RetrievePropertiesEx for all hosts."""
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    walk = COLLECTOR.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    return [[COLLECTOR.FilterSpec(
        objectSet=[COLLECTOR.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[COLLECTOR.PropertySpec(type=vim.HostSystem, pathSet=list(paths), all=False)])],
        COLLECTOR.RetrieveOptions()]


def assert_read_alike(stub: Any, content: Any, paths: tuple[str, ...]) -> Any:
    """Ours twice (new, and known), pyVmomi's once."""
    info, arguments = COLLECTOR._GetMethodInfo("RetrievePropertiesEx"), hosts_below(content, paths)
    theirs = SoapStubAdapter.InvokeMethod(stub, content.propertyCollector, info, arguments)
    for _ in range(2):
        ours = stub.InvokeMethod(content.propertyCollector, info, arguments)
        assert difference(ours, theirs) == ""
    return theirs


@pytest.fixture(params=PROFILES)
def twin(request: pytest.FixtureRequest) -> Iterator[Any]:
    with open_server(new_house(4, request.param), Serving("127.0.0.2", 0)) as server:
        stub = open_stub(f"127.0.0.2:{server.port}", Trust(certificate=server.certificate.certificate), 20)
        yield stub
        stub.DropConnections()


@pytest.mark.parametrize("keyed", [True, False])
def test_the_twin_is_read_as_pyvmomi_reads_it(twin: Any, keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    content = speak(twin)
    content.sessionManager.Login(USER, PASSWORD, None)
    monkeypatch.setattr(Pieces, "_slowly", lambda *_: pytest.fail("a piece was left to pyVmomi"))
    found = assert_read_alike(twin, content, asked(keyed=keyed))
    assert len(found.objects) == 4
    assert not any(each.missingSet for each in found.objects)


@pytest.mark.vcsim
@pytest.mark.timeout(900)
def test_vcsim_is_read_as_pyvmomi_reads_it() -> None:
    with running(build(), hosts=3, machines=1) as peer:
        stub = open_stub(peer.server, Trust(thumbprint=peer.thumbprint), 20)
        content = speak(stub)
        content.sessionManager.Login(peer.user, peer.password, None)
        read = 0
        for path in asked(keyed=False):
            try:
                found = assert_read_alike(stub, content, ("name", path))
            except vmodl.query.InvalidProperty:
                continue  # vcsim does not know it
            read += any(p.name == path for each in found.objects for p in each.propSet)
        assert read >= 15
        stub.DropConnections()


# --- recordings -----------------------------------------------------------------------------------------------

recorded = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded vCenter answers: the folder {FOLDER.name} is not beside the repository")


def properties() -> dict[str, Any]:
    """Recorded properties of a real host, by path."""
    found = {}
    for name in NAMES:
        for told, answered in _interactions(name):
            request = parse_request(told.encode())
            if request.method == "Fetch" and request.wire == "HostSystem":
                value = SoapResponseDeserializer(Stub()).Deserialize(answered.encode(), object)
                if value is not None and not (isinstance(value, list) and not value):
                    found[request.arguments["prop"]] = value
    return found


def walked(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


@recorded
def test_recorded_hosts_are_read_as_pyvmomi_reads_them() -> None:
    """Whole properties, and the narrow paths that the catalogue asks for; then a host that differs a little."""
    whole = properties()
    assert {"config", "hardware", "summary", "runtime"} <= set(whole)
    config = whole["config"]
    narrow = {path: value for path in asked(keyed=False) if path.startswith("config.")
              and (value := walked(config, path.partition(".")[2])) is not None}
    assert len(narrow) >= 15
    pieces = [*({path: value} for path, value in whole.items()), narrow]
    reader = Reader(Stub())
    for props in pieces:
        xml = content_xml("host-14", props)
        other = xml.replace("host-14", "host-15").replace("00:0c:29", "00:0c:30").replace("VMware", "Other &amp; Co")
        document = answer(xml, other, xml)
        theirs = by_pyvmomi(document, reader._stub)
        for _ in range(2):
            assert difference(reader.retrieved(io.BytesIO(document).read), theirs) == ""
