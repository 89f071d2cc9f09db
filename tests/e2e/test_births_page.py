"""The births page in a real browser (Debian's chromium), while hosts are being born."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.midwife.page import BirthsPage, PageServer
from tests.support.births_view import ScriptedBirths, mac
from tests.support.tools import need

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = need("chromium")
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("home")  # HOME may not be writable
    with sync_playwright() as driver:
        found = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)})
        yield found
        found.close()


class Look:
    """An open page, and everything that its console said."""

    def __init__(self, browser: Any, url: str, width: int, height: int, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                           locale="en-GB", timezone_id="UTC")
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: None if request.url.startswith(url) else self.foreign.append(
            request.url))
        self.page.goto(url)
        self.page.wait_for_selector("#hosts tbody tr")

    def bar(self, host: str) -> dict[str, str]:
        """What a screen reader is told about a host."""
        found = self.page.get_by_role("progressbar", name=host, exact=True)
        return {name: found.get_attribute(f"aria-{name}") for name in ("valuenow", "valuemax", "valuetext")}


@pytest.fixture(params=SIZES)
def look(request: pytest.FixtureRequest, browser: Any, view: ScriptedBirths, url: str) -> Iterator[Look]:
    opened = Look(browser, url, *SIZES[request.param])
    yield opened
    opened.context.close()


@pytest.fixture
def view() -> ScriptedBirths:
    return ScriptedBirths(4)


@pytest.fixture
def url(view: ScriptedBirths) -> Iterator[str]:
    server = PageServer(BirthsPage(view), "127.0.0.1", 0)
    server.start()
    yield "http://{}:{}/".format(*server.address)
    server.stop()


def test_hosts_are_seen_being_born(look: Look, view: ScriptedBirths, tmp_path: Path) -> None:
    page = look.page
    assert look.bar("esx01.lab.example") == {"valuenow": "0", "valuemax": "7", "valuetext": "nothing yet"}
    assert page.locator("#births").is_hidden()
    for stages, number in ((7, 1), (5, 2), (2, 3)):
        for _ in range(stages):
            view.advance(number)
    view.refuse(mac(2), "its signature is wrong (forged)")
    view.advance(2, "a birth was refused: <b>forged</b>")
    view.refuse("52:54:00:aa:bb:cc", "unknown MAC")
    page.get_by_text("1 of 4 hosts configured, 1 with a problem").wait_for()
    assert look.bar("esx01.lab.example")["valuetext"] == "configured, 7 of 7"
    assert look.bar("esx02.lab.example")["valuetext"] == "born, 5 of 7; a birth was refused: <b>forged</b>"
    assert look.bar("esx03.lab.example")["valuenow"] == "2"
    assert page.locator("#hosts b").count() == 0  # what a stranger sends is text
    assert page.locator("#births tbody tr").count() == 4
    assert "refused: unknown MAC" in page.locator("#births tbody tr").first.inner_text()
    assert "52:54:00:aa:bb:cc" in page.locator("#unclaimed").inner_text()
    assert page.title() == "Births · lab"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing to scroll sideways
    picture = tmp_path / "births.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (look.said, look.foreign) == ([], [])


def test_the_tables_are_tables_to_a_screen_reader(look: Look, view: ScriptedBirths) -> None:
    hosts = look.page.get_by_role("table", name="Hosts")
    assert hosts.get_by_role("row").count() == 5
    assert hosts.get_by_role("rowheader").first.inner_text().startswith("esx01.lab.example")
    assert look.page.locator("html").get_attribute("lang") == "en"


def test_rows_stay_in_place_while_they_change(look: Look, view: ScriptedBirths) -> None:
    look.page.evaluate("window.kept = document.querySelector('#hosts tbody tr')")
    view.advance(1)
    look.page.get_by_text("powered, 1 of 7").wait_for()
    assert look.page.evaluate("window.kept === document.querySelector('#hosts tbody tr')")


def test_it_says_when_there_is_no_news_and_comes_back(look: Look, view: ScriptedBirths) -> None:
    page = look.page
    page.get_by_text("live", exact=True).wait_for()
    page.route("**/births.json", lambda route: route.abort())
    page.get_by_text("no news since").wait_for()
    page.unroute("**/births.json")
    page.get_by_text("live", exact=True).wait_for()
    view.broken = "the record of births is damaged"
    page.get_by_role("alert").filter(has_text="the record of births is damaged").wait_for()
    view.broken = ""
    page.get_by_role("alert").wait_for(state="hidden")


def test_dark_where_the_reader_wants_it_dark(browser: Any, url: str) -> None:
    grounds, contrasts = {}, {}
    for scheme in ("light", "dark"):
        look = Look(browser, url, *SIZES["desktop"], scheme=scheme)
        style = "getComputedStyle(document.querySelector('{}')).{}"
        grounds[scheme] = look.page.evaluate(style.format("html", "backgroundColor"))
        for selector in ("#summary", "tbody th", ".quiet.mono"):
            contrasts[scheme, selector] = contrast(look.page.evaluate(style.format(selector, "color")),
                                                   grounds[scheme])
        look.context.close()
    assert luminance(grounds["light"]) > 0.8 > 0.05 > luminance(grounds["dark"])
    assert min(contrasts.values()) >= 4.5, contrasts  # WCAG 2.2, AA


def luminance(color: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    parts = [int(part) / 255 for part in color[4:-1].split(",")]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
