"""What machines outside of a served twin may say, over HTTPS as they do."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from providers.twin.house import PASSWORD, USER, House
from providers.twin.machines import derived_identity
from providers.twin.serving import Serving, open_server
from tests.support.twin import mac_of, make_house

SEED = f"""
datacenters: [dc0]
clusters: {{dc0/prod: {{}}}}
machines: {{"{mac_of(1)}": {{name: esx01.test, power: external}}, "{mac_of(2)}": {{name: esx02.test}}}}
"""
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
FACTS = {"uuid": "4c4c4544-0000-0000-0000-000000000001", "serial": "S1", "ip": "10.99.0.101", "version": "8.0.3",
         "build": "24022510", "certificate": derived_identity("outside", mac_of(1), 1, "a", "10.99.0.101",
                                                              1.7e9).certificate}


class Site:
    def __init__(self, house: House, port: int) -> None:
        self.house, self.port = house, port

    def ask(self, method: str, path: str, body: Any = None, authorization: str = BASIC) -> tuple[int, Any]:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        try:
            data = body if isinstance(body, str) or body is None else json.dumps(body)
            connection.request(method, path, data, {"Authorization": authorization} if authorization else {})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()


@pytest.fixture
def site() -> Iterator[Site]:
    house = make_house(None, seed=SEED)
    with open_server(house, Serving("127.0.0.1", 0)) as server:
        yield Site(house, server.port)


def test_a_machine_is_born_restarted_and_born_again(site: Site) -> None:
    path = f"/machines/{mac_of(1)}"
    assert site.ask("GET", path) == (200, {"power": "off", "boot": 0})
    assert site.ask("POST", f"{path}/born", FACTS) == (200, {"power": "on", "boot": 1})
    assert site.house.door_certificate("10.99.0.101") == FACTS["certificate"]
    assert site.ask("POST", f"{path}/born", FACTS) == (200, {"power": "on", "boot": 1}), "a repeated one is no boot"
    site.house.reboot(mac_of(1))
    assert site.ask("GET", path) == (200, {"power": "booting", "boot": 2})
    other = derived_identity("outside", mac_of(1), 2, "a", "10.99.0.101", 1.7e9).certificate
    assert site.ask("POST", f"{path}/born", {**FACTS, "certificate": other}) == (200, {"power": "on", "boot": 2})
    assert site.house.door_certificate("10.99.0.101") == other
    assert site.ask("POST", f"{path}/born", FACTS) == (200, {"power": "on", "boot": 3}), "a reset nobody announced"


@pytest.mark.parametrize(("method", "path", "body", "authorization", "status"), [
    ("POST", f"/machines/{mac_of(1)}/born", FACTS, "", 401),
    ("POST", f"/machines/{mac_of(1)}/born", FACTS, "Basic eDp5", 401),
    ("GET", f"/machines/{mac_of(1)}", None, "Basic not-base64", 401),
    ("POST", f"/machines/{mac_of(9)}/born", FACTS, BASIC, 404),
    ("GET", "/machines/none", None, BASIC, 404),
    ("POST", f"/machines/{mac_of(1)}/dies", FACTS, BASIC, 404),
    ("POST", f"/machines/{mac_of(2)}/born", FACTS, BASIC, 409),
    ("POST", f"/machines/{mac_of(1)}/born", {**FACTS, "certificate": "x"}, BASIC, 400),
    ("POST", f"/machines/{mac_of(1)}/born", {**FACTS, "power": "on"}, BASIC, 400),
    ("POST", f"/machines/{mac_of(1)}/born", "{", BASIC, 400),
])
def test_mistakes_change_nothing(site: Site, method: str, path: str, body: Any, authorization: str,
                                 status: int) -> None:
    found, said = site.ask(method, path, body, authorization)
    assert (found, [*said]) == (status, ["error"])
    assert {each.power for each in site.house.machines()} == {"off"}
