"""`fleet midwife`: the site's boot and birth service, and who may use it.

    fleet midwife serve --folder DIR --listen ADDR --api ADDR:PORT [--ports tftp=69,…] [--page ADDR:PORT]
    fleet midwife enroll FLEET --folder DIR --out FILE [--days N]
    fleet midwife list --folder DIR [--json]
    fleet midwife revoke FLEET --folder DIR [--serial HEX]
    fleet midwife quarantine --folder DIR [--json]
    fleet midwife release FLEET MAC --folder DIR

All but `serve` work on the folder, while the service runs there or not, and at once.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from providers.midwife.service.midwife import Midwife

app = typer.Typer(add_completion=False, no_args_is_help=True,
                  help="The site's boot and birth service, and who may use it.")

PORTS: Mapping[str, int] = {"tftp": 69, "http": 80, "birth": 443}
FOLDER = typer.Option("--folder", metavar="DIR", show_default=False, help="Where the midwife keeps everything.")
JSON = typer.Option("--json", help="The answer as JSON.")


@app.command("serve")
def serve(
    context: typer.Context,
    folder: Annotated[str, FOLDER],
    listen: Annotated[list[str], typer.Option("--listen", metavar="ADDRESS", show_default=False, help=(
        "The address on the boot network; a second one for IPv6."))],
    api: Annotated[str, typer.Option("--api", metavar="ADDRESS:PORT", show_default=False, help=(
        "Where runners come in; never on the boot network."))],
    ports: Annotated[str, typer.Option("--ports", metavar="tftp=N,http=N,birth=N", help=(
        "Other ports on the boot network; 0 takes a free one. Hosts just born reach only 80 and 443."))] = "",
    page: Annotated[str, typer.Option("--page", metavar="ADDRESS:PORT", show_default=False, help=(
        "Serve the page of births there, to whoever can reach it."))] = "",
    loaders: Annotated[str, typer.Option("--loaders", metavar="FOLDER", show_default=False, help=(
        "Network boot loaders that are part of no image."))] = "",
    rate: Annotated[float, typer.Option("--rate", metavar="N", min=0.1, help=(
        "Births a second that one address (of IPv6: one /64) may post; more connections are reset."))] = 100.0,
    burst: Annotated[int, typer.Option("--burst", metavar="N", min=1, help=(
        "Births that one address may post at once, however it was before: machines behind NAT are one."))] = 1000,
    connections: Annotated[int, typer.Option("--connections", metavar="N", min=1, help=(
        "Connections of births that may be open at once, of all addresses."))] = 768,
    as_json: Annotated[bool, typer.Option("--json", help="Where it serves, as one line of JSON.")] = False,
) -> int:
    """Serve boot files, births, and the states of this site's fleets until SIGTERM or Ctrl-C."""
    from providers.midwife.room import Limits
    from providers.midwife.service.midwife import Midwife, Settings

    settings = Settings(Path(folder).absolute(), _addresses(listen), _ports(ports), _endpoint("--api", api),
                        _endpoint("--page", page) if page else None, Path(loaders).absolute() if loaders else None,
                        Limits(connections, rate, burst))
    midwife = Midwife(settings, _say)
    if context.obj is not None:  # the workshop of fleet's own commands
        from providers.midwife.restore import restorer_of

        midwife.restorer = restorer_of(midwife, context.obj, _say)
    ended = threading.Event()
    midwife.open()
    try:
        _ready(midwife, as_json=as_json)
        ended.wait()
    except KeyboardInterrupt:
        _say("the midwife ends")
    finally:
        midwife.close()
    return 0


@app.command("enroll")
def enroll(
    fleet: Annotated[str, typer.Argument(metavar="FLEET", show_default=False, help="The fleet's name.")],
    folder: Annotated[str, FOLDER],
    out: Annotated[str, typer.Option("--out", metavar="FILE", show_default=False, help=(
        "Where to write the identity: a private key, and who vouches for it. provider.boot.identity names it."))],
    days: Annotated[int, typer.Option("--days", metavar="N", help="How long it is good.")] = 365,
) -> int:
    """Make an identity with which runners of one fleet, and no other, may use this midwife."""
    from planner.model import Diagnostic, FleetError

    target = Path(out)
    if target.exists():
        raise FleetError(Diagnostic("error", "there is such a file already", out, remedy="take another --out"))
    client, pem = _authority(folder).enroll(fleet, days)
    _write_new(target, pem)
    typer.echo(f"{fleet}: identity {client.serial} in {out}, good until {client.expires}")
    return 0


@app.command("list")
def list_identities(folder: Annotated[str, FOLDER], as_json: Annotated[bool, JSON] = False) -> int:
    """The identities that were made here."""
    clients = _authority(folder).clients()
    if as_json:
        typer.echo(json.dumps({"format": 1, "kind": "midwife.identities", "identities": [asdict(c) for c in clients]},
                              indent=2))
        return 0
    if not clients:
        typer.echo("No identity was made here yet: `fleet midwife enroll` makes one.", err=True)
        return 0
    from tabulate import tabulate

    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = [(c.fleet, c.serial, c.enrolled, c.expires,
             f"revoked {c.revoked}" if c.revoked else "expired" if c.expires < now else "good") for c in clients]
    typer.echo(tabulate(rows, headers=["fleet", "serial", "made", "expires", "is"], disable_numparse=True))
    return 0


@app.command("revoke")
def revoke(
    fleet: Annotated[str, typer.Argument(metavar="FLEET", show_default=False, help="The fleet's name.")],
    folder: Annotated[str, FOLDER],
    serial: Annotated[str, typer.Option("--serial", metavar="HEX", show_default=False,
                                        help="This identity only; without, all of the fleet's.")] = "",
) -> int:
    """End identities at once, for calls that come over connections open now, too."""
    for client in _authority(folder).revoke(fleet, serial):
        typer.echo(f"{client.fleet}: identity {client.serial} is revoked")
    return 0


@app.command("quarantine")
def quarantine(folder: Annotated[str, FOLDER], as_json: Annotated[bool, JSON] = False) -> int:
    """The hosts that are not restored any more, for they were born again and again."""
    from providers.midwife.restores import quarantined

    found = quarantined(Path(folder) / "midwife")
    if as_json:
        typer.echo(json.dumps({"format": 1, "kind": "midwife.quarantine",
                               "hosts": [{"mac": mac, **asdict(case)} for mac, case in found.items()]}, indent=2))
        return 0
    for mac, case in found.items():
        times = ", ".join(b[:19] for b in case.births)
        typer.echo(f"{case.fleet} {mac}: since {case.quarantined[:19]}Z, born at {times}")
    if not found:
        typer.echo("No host is in quarantine.", err=True)
    return 0


@app.command("release")
def release_host(
    fleet: Annotated[str, typer.Argument(metavar="FLEET", show_default=False, help="The fleet's name.")],
    mac: Annotated[str, typer.Argument(metavar="MAC", show_default=False, help="The host's MAC.")],
    folder: Annotated[str, FOLDER],
) -> int:
    """End a host's quarantine: the midwife restores it within a moment."""
    from providers.midwife.message import BadMessage, normal_mac
    from providers.midwife.restores import release

    try:
        wanted = normal_mac(mac)
    except BadMessage as error:
        raise typer.BadParameter("MAC is one like 52:54:00:00:00:11") from error
    release(Path(folder) / "midwife", fleet, wanted)
    typer.echo(f"{fleet} {wanted} is released")
    return 0


# --- inside -------------------------------------------------------------------------------------------------


def _authority(folder: str) -> Any:
    from providers.midwife.api.auth import Authority

    return Authority(Path(folder) / "identity")


def _write_new(path: Path, data: bytes) -> None:
    import os

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _addresses(given: list[str]) -> tuple[str, ...]:
    from planner.model import Diagnostic, FleetError
    from providers.boot.listen import addresses

    try:
        return addresses(given)
    except FleetError as error:
        raise FleetError(*(Diagnostic(d.severity, d.summary, d.detail.replace("provider.boot.listen is", "--listen"),
                                      remedy=d.remedy) for d in error.diagnostics)) from None


def _ports(text: str) -> dict[str, int]:
    found = dict(PORTS)
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        if name not in PORTS or not number.isdigit() or int(number) > 65535:
            raise typer.BadParameter("--ports takes tftp=N,http=N,birth=N, with ports from 0 to 65535")
        found[name] = int(number)
    return found


def _endpoint(option: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        import ipaddress

        return str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        raise typer.BadParameter(f"{option} takes ADDRESS:PORT, an IPv6 address in brackets") from None


def _say(line: str) -> None:
    """The service's log: stderr, which systemd keeps."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
    sys.stderr.flush()


def _ready(midwife: Midwife, *, as_json: bool) -> None:
    """Say where it serves; to systemd, too (sd_notify(3))."""
    from providers.boot.listen import url

    ends = midwife.servers.tree.endpoints
    host, port = midwife.api_address
    facts: dict[str, Any] = {
        "api": url("https", host, port, 443), "tftp": list(midwife.servers.tftp_address), "http": ends.http,
        "birth": ends.birth, "page": url("http", *midwife.page_address, 80) if midwife.page_address[1] else "",
        "folder": str(midwife.folder)}
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        tftp = url("tftp", *midwife.servers.tftp_address, 69)
        typer.echo(f"API {facts['api']}\nboot files {tftp} and {ends.http}, births {ends.birth}"
                   + (f"\npage {facts['page']}" if facts["page"] else ""))
    sys.stdout.flush()
    _notify("READY=1")


def _notify(text: str) -> None:
    import os
    import socket

    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.send(text.encode())
