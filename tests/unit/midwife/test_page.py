"""The births page without a browser: what it answers, to whom, and where it may stand."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.model import FleetError
from providers.midwife import page as page_module
from providers.midwife.page import BirthsPage, PageServer
from providers.midwife.view import STAGES
from tests.support.births_view import ScriptedBirths, mac


@pytest.fixture
def view() -> ScriptedBirths:
    return ScriptedBirths(3)


@pytest.fixture
def served(view: ScriptedBirths) -> Iterator[tuple[str, int]]:
    server = PageServer(BirthsPage(view), "127.0.0.1", 0, ["127.0.0.1"])
    server.start()
    yield server.address
    server.stop()
    server.stop()


def get(where: tuple[str, int], path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    link = http.client.HTTPConnection(*where, timeout=20)
    link.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    reply = link.getresponse()
    reply.body = reply.read()  # type: ignore[attr-defined]
    link.close()
    return reply


def test_the_feed(view: ScriptedBirths) -> None:
    for _ in range(5):
        view.advance(2)
    view.refuse("52:54:00:aa:bb:cc", "unknown MAC")
    feed = json.loads(BirthsPage(view).get("/births.json").body)
    assert feed["format"] == 1
    assert feed["stages"] == list(STAGES)
    assert [(h["host"], h["stage"]) for h in feed["hosts"]] == [
        ('host.esx["esx01"]', 0), ('host.esx["esx02"]', 5), ('host.esx["esx03"]', 0)]
    assert [(b["mac"], b["accepted"]) for b in feed["births"]] == [(mac(2), True), ("52:54:00:aa:bb:cc", False)]
    assert [u["mac"] for u in feed["unclaimed"]] == ["52:54:00:aa:bb:cc"]


def test_the_view_is_asked_once_however_many_look(view: ScriptedBirths, monkeypatch: pytest.MonkeyPatch) -> None:
    page = BirthsPage(view)
    first = page.get("/births.json")
    assert page.get("/births.json", first.headers["ETag"]).status == 304
    view.advance(1)
    assert page.get("/births.json", first.headers["ETag"]).status == 304  # within the same second
    monkeypatch.setattr(page_module, "FRESH_SECONDS", 0.0)
    changed = page.get("/births.json", first.headers["ETag"])
    assert changed.status == 200
    assert json.loads(changed.body)["hosts"][0]["stage"] == 1


def test_a_view_that_cannot_be_read_is_said_on_the_page(view: ScriptedBirths) -> None:
    view.broken = "the disk is gone"
    feed = json.loads(BirthsPage(view).get("/births.json").body)
    assert (feed["problem"], feed["hosts"]) == ("the disk is gone", [])


def test_the_page_needs_nothing_from_elsewhere_and_its_policy_says_so(view: ScriptedBirths) -> None:
    found = BirthsPage(view).get("/")
    text = found.body.decode()
    assert re.findall(r"""(?:src|href)=["'](?!data:)|url\(|@import|https?://""", text) == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=", text)
    policy = found.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self';")
    for tag in ("style", "script"):
        inside = text.split(f"<{tag}>")[1].split(f"</{tag}>")[0].encode()
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(inside).digest()).decode()}'" in policy


def test_over_http(served: tuple[str, int]) -> None:
    assert get(served, "/").status == 200
    assert get(served, "/").headers["Content-Type"] == "text/html; charset=utf-8"
    feed = get(served, "/births.json")
    assert feed.headers["X-Content-Type-Options"] == "nosniff"
    assert get(served, "/births.json", If_None_Match=feed.headers["ETag"]).status == 304
    assert [get(served, path).status for path in ("/../key.pem", "/births.db", "/favicon.ico")] == [404] * 3
    assert [get(served, "/", method).status for method in ("POST", "PUT", "DELETE")] == [405] * 3
    assert get(served, "/", "HEAD").status == 200


@pytest.mark.parametrize(("host", "boot", "refused"), [
    ("10.0.0.2", ["10.0.0.2"], True), ("0.0.0.0", ["127.0.0.1"], True), ("::", [], True), ("", [], True),
    ("127.0.0.1", ["127.0.0.1"], False), ("10.0.0.3", ["10.0.0.2", "fd00::2"], False),
    ("fd00::2", ["10.0.0.2", "fd00::2"], True)])
def test_it_never_stands_on_the_boot_network(host: str, boot: list[str], refused: bool) -> None:
    if not refused:
        page_module.refuse_boot_address(host, boot)
        return
    with pytest.raises(FleetError, match="must not be served on the boot network"):
        page_module.refuse_boot_address(host, boot)


def test_a_port_that_is_taken_is_named(view: ScriptedBirths, served: tuple[str, int]) -> None:
    with pytest.raises(FleetError, match="cannot be bound"):
        PageServer(BirthsPage(view), *served).start()


def test_a_server_that_stops_leaves_no_thread(view: ScriptedBirths) -> None:
    before = threading.active_count()
    server = PageServer(BirthsPage(view), "127.0.0.1", 0)
    server.start()
    get(server.address, "/births.json")
    server.stop()
    assert threading.active_count() == before


def test_the_wheel_takes_the_page_along() -> None:
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert '"providers.midwife" = ["*.html"]' in text
