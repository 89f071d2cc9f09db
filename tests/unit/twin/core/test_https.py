"""The HTTPS door, through another loopback address: pyVmomi drops verification for 127.0.0.1 and localhost."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapStubAdapter

from providers.twin.core.base import World
from providers.twin.core.service import version_name
from providers.twin.soap.certificate import Certificate, make_certificate
from providers.twin.soap.server import LARGEST, Mount, Server, read_chunks
from tests.unit.twin.core.toy import PASSWORD, USER, Toy, content_of, make_toy, read_hosts

HOST = "127.0.0.2"


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return make_certificate("vc.lab.example", (HOST,))


@pytest.fixture
def server(toy: Toy, certificate: Certificate) -> Iterator[Server]:
    other = make_toy(1)
    shut: list[bool] = []

    def host_door() -> World:
        if shut:
            raise ConnectionRefusedError("off")
        return other.world

    mounts = {"/sdk": Mount(lambda: toy.world), "/hosts/10.0.0.11/sdk": Mount(host_door)}
    with Server(mounts, host=HOST, certificate=certificate) as made:
        made.shut = shut  # type: ignore[attr-defined]
        yield made


def _trust(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=certificate.certificate)


_stubs: list[SoapStubAdapter] = []


@pytest.fixture(autouse=True)
def _drop_connections() -> Iterator[None]:
    yield
    while _stubs:
        _stubs.pop().DropConnections()


def _stub(server: Server, path: str = "/sdk", **extra: Any) -> Any:
    extra.setdefault("sslContext", _trust(server.certificate))
    stub = SoapStubAdapter(host=HOST, port=server.port, path=path, version=version_name(), **extra)
    _stubs.append(stub)
    return stub


def _content(stub: Any) -> Any:
    content = content_of(stub)
    content.sessionManager.Login(USER, PASSWORD)
    return content


def test_smart_connect_with_verification(server: Server, toy: Toy) -> None:
    service = SmartConnect(host=HOST, port=server.port, user=USER, pwd=PASSWORD,
                           sslContext=_trust(server.certificate))
    content = service.RetrieveContent()
    assert content.about.apiVersion == "8.0.3.0"
    assert len(read_hosts(content, "name", "config.network.vswitch")) == 3
    content.rootFolder.childEntity[0].configManager.networkSystem.AddVirtualSwitch("vSwitch5")
    assert "vSwitch5" in toy.root.hosts[0].switches
    with pytest.raises(vim.fault.AlreadyExists):
        content.rootFolder.childEntity[0].configManager.networkSystem.AddVirtualSwitch("vSwitch5")
    (session,) = toy.world.sessions.all()
    assert session.address.startswith("127.0.0.")
    Disconnect(service)
    service._stub.DropConnections()
    assert toy.world.sessions.all() == []


def test_a_wrong_certificate_is_refused(server: Server) -> None:
    other = make_certificate("vc.lab.example", (HOST,))
    with pytest.raises(ssl.SSLCertVerificationError):
        _content(_stub(server, sslContext=_trust(other)))
    _content(_stub(server, sslContext=_trust(other), thumbprint=server.certificate.thumbprint()))


def test_connections_are_kept_alive(server: Server) -> None:
    stub = _stub(server, poolSize=1)
    content = _content(stub)
    (connection, _), = stub.pool
    port = connection.sock.getsockname()[1]
    for _ in range(3):
        assert content.rootFolder.name == "Datacenters"
    assert stub.pool[0][0].sock.getsockname()[1] == port


def test_the_cookie_carries_the_session(server: Server, toy: Toy) -> None:
    stub = _stub(server)
    content = _content(stub)
    second = _stub(server)
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = vim.Folder("group-d1", second).name
    second.SetSessionId(stub.GetSessionId())
    assert vim.Folder("group-d1", second).name == "Datacenters"
    assert content.sessionManager.currentSession.key not in stub.cookie
    toy.world.sessions.end_all()
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = content.rootFolder.name


def test_resets_and_lost_replies_look_as_on_a_network(server: Server, toy: Toy) -> None:
    content = _content(_stub(server))
    network = content.rootFolder.childEntity[0].configManager.networkSystem
    toy.world.faults.add(kind="reset", method="AddVirtualSwitch")
    with pytest.raises(ConnectionResetError):  # Python's ssl may show a reset as the end of the stream
        network.AddVirtualSwitch("a")
    assert "a" not in toy.root.hosts[0].switches
    toy.world.faults.add(kind="lost_reply", method="AddVirtualSwitch")
    with pytest.raises(http.client.RemoteDisconnected):
        network.AddVirtualSwitch("b")
    assert "b" in toy.root.hosts[0].switches
    network.AddVirtualSwitch("c")


def test_further_doors_and_shut_ones(server: Server) -> None:
    content = _content(_stub(server, "/hosts/10.0.0.11/sdk"))
    assert len(content.rootFolder.childEntity) == 1
    server.shut.append(True)  # type: ignore[attr-defined]
    with pytest.raises(ConnectionError):
        _ = content.rootFolder.name
    with pytest.raises(http.client.HTTPException, match="404"):
        _content(_stub(server, "/hosts/10.0.0.99/sdk"))


def _raw(server: Server, body: bytes, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPSConnection(HOST, server.port, context=_trust(server.certificate), timeout=10)
    connection.putrequest("POST", "/sdk")
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


_ENVELOPE = ('<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
             'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Header><x/></e:Header><e:Body>{}</e:Body>'
             "</e:Envelope>")


@pytest.mark.parametrize(("body", "said"), [
    ("", "no element found"),
    ("<a>", "no element found"),
    ("<a/>", "no method"),
    ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
    (_ENVELOPE.format(""), "no method"),
    (_ENVELOPE.format('<Nonsense xmlns="urn:vim25"/>'), "Nonsense"),
    (_ENVELOPE.format("<Login/>"), "no namespace"),
    (_ENVELOPE.format('<Login xmlns="urn:vim25"><userName>a</userName></Login>'), "_this"),
    (_ENVELOPE.format('<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></Login>'),
     "userName"),
    (_ENVELOPE.format('<Login xmlns="urn:vim25"><_this>SessionManager</_this></Login>'), "cannot be read"),
    (_ENVELOPE.format('<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><x/></Login>'), "x"),
    (_ENVELOPE.format('<AddVirtualSwitch xmlns="urn:vim25"><_this type="HostNetworkSystem">n</_this>'
                      "<vswitchName>a</vswitchName><spec><numPorts>many</numPorts></spec></AddVirtualSwitch>"), "many"),
])
def test_requests_that_make_no_sense_are_answered(server: Server, body: str, said: str) -> None:
    status, text = _raw(server, body.encode())
    assert status == 500
    assert "InvalidRequestFault" in text
    assert said in text


def test_large_and_unmeasured_bodies_are_refused(server: Server) -> None:
    assert _raw(server, b"", Content_Length=str(LARGEST + 1))[0] == 413
    assert _raw(server, b"", Content_Length="many")[0] == 411


@pytest.mark.parametrize(("raw", "body"), [
    (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"), (b"0\r\nTrailer: x\r\n\r\n", b""), (b"", None),
    (b"zz\r\n", None), (b"-1\r\n", None), (b"5\r\nabc", None), (b"3\r\nabcd\r\n", None),
    (b"fffffff\r\n", None), (b"9" * 100, None)])
def test_chunked_bodies(raw: bytes, body: bytes | None) -> None:
    assert read_chunks(io.BytesIO(raw)) == body


def test_a_foreign_client_gets_what_the_schema_says(server: Server) -> None:
    """As suds and govc call: other prefixes, no versionId, no SOAPAction."""
    body = _ENVELOPE.format(
        '<v:RetrieveServiceContent xmlns:v="urn:vim25"><v:_this type="ServiceInstance">ServiceInstance</v:_this>'
        "</v:RetrieveServiceContent>")
    status, text = _raw(server, body.encode())
    assert status == 200
    assert '<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval><rootFolder type="Folder">group-d1' in text
    assert "versionId" not in text


def test_a_client_that_never_shakes_hands_blocks_nobody(server: Server) -> None:
    with socket.create_connection((HOST, server.port)):
        assert _content(_stub(server)).about.instanceUuid == "toy-instance"


def test_an_internal_error_is_a_fault_and_the_connection_lives(
        server: Server, caplog: pytest.LogCaptureFixture) -> None:
    content = _content(_stub(server))
    with pytest.raises(vmodl.fault.SystemError) as caught:
        content.rootFolder.CreateFolder("x")
    assert "does not declare" in caught.value.reason
    assert "the twin failed" in caplog.text
    assert content.rootFolder.name == "Datacenters"
