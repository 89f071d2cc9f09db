"""What real DHCP servers answer with our configurations, to machines of each kind. dnsmasq and Kea say the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.dhcp.fleets import MANY, kea_environment, kea_file, render, write_images
from tests.support.dhcp.network import RELAY_ADDRESS, Client, daemon
from tests.support.dhcp.packets import IPXE, VENDOR, Machine, Message

Start = Callable[[str, Path, Path], AbstractContextManager[Client]]

ESX, POOLED, FAR, OLD, LINUX, PLAIN = (f"52:54:00:00:00:0{n}" for n in range(1, 7))
STRANGER = "52:54:00:00:00:99"
BIOS, UEFI, UEFI_HTTP, ARM64 = 0x0000, 0x0007, 0x0010, 0x000B
BOOT_SERVER = "10.0.0.3"  # another machine than the DHCP server, which is 10.0.0.2
SCRIPT = f"http://{BOOT_SERVER}/boot.ipxe"
HOUSE = ["--conf-file={conf}", "--keep-in-foreground", "--user=root", "--log-facility=-",
         "--dhcp-leasefile={folder}/leases", "--pid-file={folder}/pid"]


def start(server: str, fleet: Path, folder: Path) -> AbstractContextManager[Client]:
    """The real daemon with what we render for it."""
    write_images(folder)
    text = render(Path(shutil.copy(fleet, folder)), server)
    if server == "kea":
        path = kea_file(json.loads(text), folder)
        return daemon(["kea-dhcp4", "-c", str(path)], folder / "log", kea_environment(folder))
    (folder / "conf").write_text(text)
    words = [word.format(conf=folder / "conf", folder=folder) for word in HOUSE]
    return daemon(["dnsmasq", *words], folder / "log")


@pytest.fixture(scope="module", params=["dnsmasq", "kea"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with start(request.param, MANY, tmp_path_factory.mktemp(request.param)) as asks:
        yield asks


@pytest.mark.parametrize(("machine", "file"), [
    (Machine(ESX, BIOS), "pxelinux.0"),
    (Machine(ESX, 0x0006), "mboot.efi"),
    (Machine(ESX, UEFI), "mboot.efi"),
    (Machine(ESX, 0x0009), "mboot.efi"),
    (Machine(ESX, ARM64), "mboot.efi"),
    (Machine(OLD, BIOS), "pxelinux.0"),
    (Machine(OLD, UEFI), ""),
    (Machine(LINUX, BIOS), "undionly.kpxe"),
    (Machine(LINUX, UEFI), "snponly.efi"),
    (Machine(LINUX, ARM64), ""),
], ids=lambda value: f"{value.mac[-2:]}-{value.arch}" if isinstance(value, Machine) else value)
def test_firmware_is_told_the_file_of_its_image_and_architecture(client: Client, machine: Machine, file: str) -> None:
    ack = client.boot(machine)
    assert ack.yiaddr == {ESX: "10.0.0.11", OLD: "10.0.0.14", LINUX: "10.0.0.15"}[machine.mac]
    assert ack.boot == file
    assert (ack.next_server == BOOT_SERVER) is (ack.siaddr == BOOT_SERVER) is bool(file)
    assert VENDOR not in ack.options
    assert IPXE not in ack.options


@pytest.mark.parametrize(("mac", "file"), [(ESX, "mboot.efi"), (LINUX, "snponly.efi")])
def test_uefi_http_boot_gets_a_url_and_its_vendor_class(client: Client, mac: str, file: str) -> None:
    ack = client.boot(Machine(mac, UEFI_HTTP, http=True))
    assert (ack.boot, ack.text(VENDOR)) == (f"http://{BOOT_SERVER}/{file}", "HTTPClient")


@pytest.mark.parametrize("arch", [BIOS, UEFI])
@pytest.mark.parametrize("mac", [ESX, OLD, LINUX])
def test_ipxe_is_sent_on_to_its_script_and_waits_for_no_proxy(client: Client, mac: str, arch: int) -> None:
    ack = client.boot(Machine(mac, arch, ipxe=True))
    assert ack.boot == SCRIPT
    assert ack.suboptions(IPXE)[176] == b"\x01"


def test_an_operating_system_gets_its_address_and_nothing_to_boot(client: Client) -> None:
    ack = client.boot(Machine(ESX))
    assert (ack.yiaddr, ack.boot, ack.sname) == ("10.0.0.11", "", "")


def test_a_host_without_an_image_boots_nothing(client: Client) -> None:
    ack = client.boot(Machine(PLAIN, UEFI))
    assert (ack.yiaddr, ack.boot) == ("10.0.0.16", "")
    assert client.boot(Machine(PLAIN, UEFI_HTTP, http=True)).text(VENDOR) == ""


def test_a_machine_is_told_its_network_and_its_name(client: Client) -> None:
    ack = client.boot(Machine(ESX))
    assert ack.addresses(1) == ["255.255.255.0"]
    assert ack.addresses(3) == ["10.0.0.1"]
    assert ack.addresses(6) == ["10.0.0.53", "10.0.0.54"]
    assert (ack.text(12), ack.text(15)) == ("esx01", "lab.example")
    assert int.from_bytes(ack.options[51]) == 3600


def test_one_machine_keeps_one_address_whoever_asks(client: Client) -> None:
    """Firmware sends its UUID as client identifier, iPXE and ESXi others: leases go by MAC all the same."""
    seen = {client.boot(Machine(POOLED, arch, client_id=own)).yiaddr
            for arch, own in ((UEFI, b"\0firmware"), (None, b"\x01\x52\x54\0\0\0\x02"), (None, b""))}
    assert len(seen) == 1
    assert 100 <= int(seen.pop().rsplit(".", 1)[1]) <= 199


def test_strangers_get_no_answer(client: Client) -> None:
    def other() -> Message:
        return client.discover(Machine(ESX, UEFI))

    for machine in (Machine(STRANGER, UEFI), Machine(STRANGER), Machine(STRANGER, UEFI, ipxe=True),
                    Machine(STRANGER, UEFI_HTTP, http=True)):
        assert client.unanswered(machine, other)


def test_a_subnet_behind_a_relay(client: Client) -> None:
    ack = client.boot(Machine(FAR, UEFI), RELAY_ADDRESS)
    assert (ack.yiaddr, ack.boot, ack.next_server) == ("10.0.1.13", "mboot.efi", BOOT_SERVER)
    assert (ack.addresses(3), ack.giaddr) == (["10.0.1.1"], RELAY_ADDRESS)
    assert int.from_bytes(ack.options[51]) == 12 * 3600
    assert client.unanswered(Machine(STRANGER, UEFI), lambda: client.discover(Machine(FAR, UEFI), RELAY_ADDRESS),
                             RELAY_ADDRESS)


@pytest.mark.parametrize("server", ["dnsmasq", "kea"])
def test_strangers_may_be_leased_an_address_and_different_loaders_come_from_own_folders(
        server: str, tmp_path: Path) -> None:
    with start(server, MANY.with_name("apart.yaml"), tmp_path) as asks:
        for kind in (Machine(STRANGER, UEFI), Machine(STRANGER, UEFI_HTTP, http=True),
                     Machine(STRANGER, BIOS, ipxe=True)):
            ack = asks.boot(kind)
            assert 200 <= int(ack.yiaddr.rsplit(".", 1)[1]) <= 209
            assert (ack.boot, ack.text(VENDOR), ack.text(IPXE)) == ("", "", "")
        for mac in (ESX, POOLED):
            folder = f"01-{mac.replace(':', '-')}"
            assert asks.boot(Machine(mac, UEFI)).boot == f"{folder}/mboot.efi"
            assert asks.boot(Machine(mac, UEFI_HTTP, http=True)).boot == f"http://10.0.0.2:8080/{folder}/mboot.efi"
            assert asks.boot(Machine(mac, BIOS)).boot == ""
        assert asks.boot(Machine(POOLED, UEFI)).addresses(3) == []


def test_kea_answers_once_its_interface_gets_a_link(tmp_path: Path) -> None:
    """All machines of a boot network are off when its DHCP server starts: there is no link yet."""
    write_images(tmp_path)
    config = json.loads(render(Path(shutil.copy(MANY, tmp_path)), "kea"))
    config["Dhcp4"]["interfaces-config"]["service-sockets-retry-wait-time"] = 200  # ours is seconds
    with daemon(["kea-dhcp4", "-c", str(kea_file(config, tmp_path))], tmp_path / "log", kea_environment(tmp_path),
                unplugged="the interface srv0 is not running") as asks:
        assert asks.boot(Machine(ESX, UEFI)).boot == "mboot.efi"


# --- beside another DHCP server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with start("dnsmasq-proxy", MANY, tmp_path_factory.mktemp("proxy")) as asks:
        yield asks


@pytest.mark.parametrize(("mac", "file"), [(ESX, "pxelinux.0"), (OLD, "pxelinux.0"), (LINUX, "undionly.kpxe")])
def test_a_proxy_gives_bios_a_menu_of_one_entry(proxy: Client, mac: str, file: str) -> None:
    machine = Machine(mac, BIOS)
    offer = proxy.discover(machine)
    assert (offer.yiaddr, offer.text(VENDOR)) == ("", "PXEClient")
    options = offer.suboptions(43)
    server, menu = options[8], options[9]
    assert server[2:] == bytes((1, 10, 0, 0, 2))  # one boot server: the proxy
    assert menu[2] + 3 == len(menu)  # one entry: nobody waits at a menu
    chosen = proxy.ask_proxy(machine, menu[:2] + b"\0\0")
    assert (chosen.boot, chosen.siaddr) == (file, BOOT_SERVER)


@pytest.mark.parametrize(("mac", "arch", "file"), [
    (ESX, 0x0006, "mboot.efi"), (ESX, UEFI, "mboot.efi"), (ESX, 0x0009, "mboot.efi"), (ESX, ARM64, "mboot.efi"),
    (LINUX, UEFI, "snponly.efi")])
def test_a_proxy_sends_uefi_to_its_file_at_once(proxy: Client, mac: str, arch: int, file: str) -> None:
    offer = proxy.discover(Machine(mac, arch))
    assert (offer.yiaddr, offer.text(VENDOR), offer.suboptions(43)) == ("", "PXEClient", {})
    ack = proxy.ask_proxy(Machine(mac, arch))
    assert (ack.boot, ack.siaddr) == (file, BOOT_SERVER)


@pytest.mark.parametrize("arch", [BIOS, UEFI])
def test_a_proxy_sends_ipxe_to_its_script(proxy: Client, arch: int) -> None:
    machine = Machine(ESX, arch, ipxe=True)
    offer = proxy.discover(machine)
    assert offer.text(VENDOR) == "PXEClient"
    assert 9 not in offer.suboptions(43)  # no menu: it asks at port 4011
    assert proxy.ask_proxy(machine).boot == SCRIPT


def test_a_proxy_is_silent_to_strangers_and_to_what_boots_nothing(proxy: Client) -> None:
    def offer() -> Message:
        return proxy.discover(Machine(ESX, BIOS))

    for machine in (Machine(STRANGER, BIOS), Machine(STRANGER, UEFI, ipxe=True), Machine(PLAIN, BIOS), Machine(ESX)):
        assert proxy.unanswered(machine, offer)
    assert proxy.proxy_unanswered(Machine(STRANGER, UEFI), lambda: proxy.ask_proxy(Machine(ESX, UEFI)))


def test_a_proxy_answers_through_a_relay(proxy: Client) -> None:
    assert proxy.discover(Machine(FAR, BIOS), RELAY_ADDRESS).text(VENDOR) == "PXEClient"


# --- what the README tells administrators of other servers ---------------------------------------------------


def test_the_lines_for_isc_dhcpd_do_what_the_readme_says(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[4] / "providers" / "boot" / "README.md").read_text()
    (tmp_path / "conf").write_text(readme.partition("```isc-dhcpd\n")[2].partition("```")[0])
    (tmp_path / "leases").touch()
    options = ["-f", "-d", "--no-pid", "-user", "root", "-group", "root"]
    with daemon(["dhcpd", *options, "-cf", str(tmp_path / "conf"), "-lf", str(tmp_path / "leases"), "srv0"],
                tmp_path / "log") as asks:
        for machine, file in ((Machine(ESX, BIOS), "pxelinux.0"), (Machine(ESX, UEFI), "mboot.efi"),
                              (Machine(ESX, UEFI_HTTP, http=True), f"http://{BOOT_SERVER}/mboot.efi"),
                              (Machine(ESX, UEFI, ipxe=True), SCRIPT), (Machine(ESX), "")):
            ack = asks.boot(machine)
            assert (ack.yiaddr, ack.boot, ack.text(VENDOR)) == ("10.0.0.11", file, "HTTPClient" if machine.http else "")
            assert ack.next_server == BOOT_SERVER
        assert asks.unanswered(Machine(STRANGER, UEFI), lambda: asks.discover(Machine(ESX, BIOS)))
