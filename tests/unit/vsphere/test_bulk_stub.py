"""The stub of bulk reads: HTTP, faults, torn connections, packed answers; and the twin over HTTPS."""

from __future__ import annotations

import gzip
import http.client
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from providers.twin.house import PASSWORD, USER
from providers.twin.serving import Serving, new_house, open_server
from providers.vsphere.bulk.answer import Reader
from providers.vsphere.bulk.context import BadAnswer
from providers.vsphere.bulk.stub import BulkStub
from providers.vsphere.collector import Collector
from providers.vsphere.connect import Trust, open_stub, speak
from providers.vsphere.faults import translate
from providers.vsphere.link import Link
from tests.support.wire_values import HEAD, TAIL, answer, content_xml

COLLECTOR: Any = vmodl.query.PropertyCollector
GOOD = answer(content_xml("host-1", {"name": "esx1"}))


def packet(body: bytes, *, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    pieces = [body[at:at + 100] for at in range(0, len(body), 100)]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%s\r\n" % (len(each), each) for each in pieces)


@contextmanager
def answering(*packets: bytes) -> Iterator[tuple[Any, list[bytes]]]:
    """A stub whose server sends these packets, each on a connection of its own; and the requests it got."""
    requests: list[bytes] = []

    def serve() -> None:
        for each in packets:
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                return
            with sock:
                got = sock.recv(1 << 20)
                while b"</soapenv:Envelope>" not in got:
                    got += sock.recv(1 << 20)
                requests.append(got)
                sock.sendall(each)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        stub: Any = BulkStub(host="127.0.0.1", port=port, path="/sdk", version="vim.version.version9")
        stub.scheme = lambda **_given: http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            yield stub, requests
        finally:
            stub.DropConnections()
            thread.join()


def retrieve(stub: Any) -> Any:
    host = vim.HostSystem("host-1", stub)
    spec = COLLECTOR.FilterSpec(objectSet=[COLLECTOR.ObjectSpec(obj=host)],
                                propSet=[COLLECTOR.PropertySpec(type=vim.HostSystem, pathSet=["name"])])
    return COLLECTOR("propertyCollector", stub).RetrievePropertiesEx([spec], COLLECTOR.RetrieveOptions())


def name_of(found: Any) -> str:
    return str(found.objects[0].propSet[0].val)


@pytest.mark.parametrize("sent", [
    packet(GOOD), chunked(GOOD) + b"0\r\n\r\n",
    packet(gzip.compress(GOOD), more="Content-Encoding: gzip\r\n"),
], ids=["plain", "chunked", "packed"])
def test_an_answer_is_read_however_it_is_sent(sent: bytes) -> None:
    with answering(sent) as (stub, requests):
        stub.cookie = 'vmware_soap_session="x"'
        found = retrieve(stub)
        assert name_of(found) == "esx1"
        assert found.objects[0].obj._stub is stub
    assert b'Cookie: vmware_soap_session="x"' in requests[0]
    assert b"<pathSet>name</pathSet>" in requests[0]


@pytest.mark.parametrize(("sent", "raised", "why"), [
    (packet(GOOD[:-20], length=len(GOOD)), http.client.IncompleteRead, ""),
    (packet(GOOD[:-20]), BadAnswer, "not well-formed"),
    (chunked(GOOD[:500]), http.client.IncompleteRead, ""),
    (packet(gzip.compress(GOOD)[:-30], more="Content-Encoding: gzip\r\n"), http.client.IncompleteRead, ""),
    (packet(GOOD, more="Content-Encoding: gzip\r\n"), BadAnswer, "unpacked"),
    (packet(GOOD, more="Content-Encoding: br\r\n"), BadAnswer, "packed by br"),
    (packet(gzip.compress(GOOD) + b"more", more="Content-Encoding: gzip\r\n"), BadAnswer, "follows"),
    (packet(GOOD, status="500 Internal Server Error"), BadAnswer, "carries is no fault"),
    (packet(b"<html/>"), BadAnswer, "no SOAP answer"),
    (packet(b"busy", status="503 Service Unavailable"), http.client.HTTPException, "503 Service Unavailable"),
    (b"", http.client.RemoteDisconnected, ""),
])
def test_what_is_torn_or_wrong_raises_and_the_connection_is_dropped(sent: bytes, raised: type[Exception],
                                                                    why: str) -> None:
    with answering(sent, packet(GOOD)) as (stub, _):
        with pytest.raises(raised, match=why or None) as caught:
            retrieve(stub)
        assert type(caught.value) is raised
        assert stub.pool == []
        assert name_of(retrieve(stub)) == "esx1"


def test_a_bomb_of_nothing_is_refused_while_it_is_unpacked() -> None:
    bomb = gzip.compress(HEAD.encode() + b" " * (64 << 20) + TAIL.encode())
    with answering(packet(bomb, more="Content-Encoding: gzip\r\n")) as (stub, _):
        stub.reader = Reader(stub, largest=1 << 20)
        with pytest.raises(BadAnswer, match="larger than 1 MB"):
            retrieve(stub)


def test_an_unreadable_answer_is_explained() -> None:
    told = translate("reading vCenter", BadAnswer("it is no SOAP answer"), sent=False)
    assert told.summary == "the answer to reading vCenter cannot be used"
    assert told.detail == "it is no SOAP answer"
    assert told.remedy
    assert not told.in_doubt


# --- the twin over HTTPS --------------------------------------------------------------------------------------


@pytest.fixture
def twin() -> Iterator[tuple[Any, Link]]:
    house = new_house(5)
    with open_server(house, Serving("127.0.0.2", 0)) as server:
        stub = open_stub(f"127.0.0.2:{server.port}", Trust(certificate=server.certificate.certificate), 20)
        link = Link(stub, lambda content: content.sessionManager.Login(USER, PASSWORD))
        link.connect(speak(stub))
        yield house, link
        link.close()


def names(link: Link) -> list[str]:
    return [row.props["name"] for row in Collector(link).below(link.content.rootFolder, {vim.HostSystem: ("name",)})]


def test_every_page_is_read(twin: tuple[Any, Link], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.vsphere.collector.PAGE", 2)
    assert names(twin[1]) == [f"esx{n:05}.twin.example" for n in range(1, 6)]


@pytest.mark.parametrize("kind", ["expire_session", "reset", "lost_reply"])
@pytest.mark.parametrize("method", ["RetrievePropertiesEx", "ContinueRetrievePropertiesEx"])
def test_a_reading_survives_what_breaks_it(twin: tuple[Any, Link], monkeypatch: pytest.MonkeyPatch, kind: str,
                                           method: str) -> None:
    house, link = twin
    monkeypatch.setattr("providers.vsphere.collector.PAGE", 2)
    house.faults.add({"kind": kind, "method": method})
    assert len(names(link)) == 5


def test_a_fault_of_the_server_is_pyvmomis(twin: tuple[Any, Link]) -> None:
    with pytest.raises(vmodl.query.InvalidProperty) as caught:
        Collector(twin[1]).below(twin[1].content.rootFolder, {vim.HostSystem: ("name", "noSuchThing")})
    assert caught.value.name == "noSuchThing"


def test_a_host_that_changed_is_seen_and_the_others_are_not_parsed(twin: tuple[Any, Link],
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    house, link = twin
    house.lag.seconds = 0.0
    paths = {vim.HostSystem: ("name", "config.network.dnsConfig", "config.network.portgroup")}
    collector, root = Collector(link), link.content.rootFolder
    before = collector.below(root, paths)
    before[0].props["name"] = "changed by its reader"
    read = io.BytesIO()  # the pieces that are parsed
    parse = "providers.vsphere.bulk.pieces.tree"
    from providers.vsphere.bulk.context import tree

    monkeypatch.setattr(parse, lambda document: (read.write(document), tree(document))[1])
    assert [row.props["name"] for row in collector.below(root, paths)][:2] == [
        "esx00001.twin.example", "esx00002.twin.example"]
    assert read.getvalue() == b""
    system = before[3].obj.configManager.networkSystem
    system.AddPortGroup(vim.host.PortGroup.Specification(
        name="new", vlanId=7, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()))
    after = collector.below(root, paths)
    assert [len(row.props["config.network.portgroup"]) for row in after] == [2, 2, 2, 3, 2]
    assert before[3].obj._moId.encode() in read.getvalue()
    assert before[2].obj._moId.encode() not in read.getvalue()
