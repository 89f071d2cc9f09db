"""The two peers of the script: an empty vCenter each, and how a host is offered to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.contract.vcsim.peer import Vcsim
from tests.support.twin import boot, connect_spec, content, make_house

NAME = "esx01.test"
USER = "administrator@vsphere.local"


@dataclass
class Peer:
    """`content`: ServiceContent, logged in. `fresh`: another one, not logged in. `spec`: HostConnectSpec of a host that
    is up and that nobody manages. `things`: what probes leave for later ones."""

    name: str
    content: Any
    fresh: Callable[[], Any]
    password: str
    spec: Callable[[], Any]
    things: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        """What an earlier probe made; one of the managers otherwise."""
        found = self.__dict__["things"].get(name)
        return found if found is not None else getattr(self.__dict__["content"], name)


@contextmanager
def simulator(vcsim: Vcsim) -> Iterator[Peer]:
    from pyVim.connect import Disconnect, SmartConnect
    from pyVmomi import vim
    from pyVmomi.SoapAdapter import SoapStubAdapter

    host, _, port = vcsim.server.rpartition(":")
    instance = SmartConnect(host=host, port=int(port), user=vcsim.user, pwd=vcsim.password,
                            disableSslCertValidation=True)
    stubs: list[Any] = []

    def fresh() -> Any:
        stub = SoapStubAdapter(host, int(port), version=instance._stub.version, sslContext=_unverified(),
                               poolSize=1)
        stubs.append(stub)
        return vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()

    def spec() -> Any:
        return vim.host.ConnectSpec(hostName=NAME, userName="root", password="any", sslThumbprint="AA:BB", force=False)

    try:
        yield Peer("vcsim", instance.RetrieveContent(), fresh, vcsim.password, spec, {})
    finally:
        for stub in stubs:
            stub.DropConnections()
        Disconnect(instance)


def _unverified() -> Any:
    import ssl

    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


@contextmanager
def twin() -> Iterator[Peer]:
    from providers.twin.house import PASSWORD

    house = make_house(seed=None, machines=1)
    house.lag.seconds = 0.0
    boot(house, 1)
    yield Peer("twin", content(house.stub(codec=True)), lambda: content(house.stub(codec=True, signed_in=False)),
               PASSWORD, lambda: connect_spec(house, 1), {})
