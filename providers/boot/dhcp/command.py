"""`fleet dhcp`: a DHCP server's configuration, rendered from a fleet.

    fleet dhcp PATH [--server dnsmasq|dnsmasq-proxy|kea] [--out FILE]

The configuration is the answer (stdout, or FILE); warnings go to stderr.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from planner.model import Diagnostic, Fleet

app = typer.Typer(add_completion=False)


class Server(StrEnum):
    """As `providers.boot.dhcp.schema.SERVERS`."""

    dnsmasq = "dnsmasq"
    proxy = "dnsmasq-proxy"
    kea = "kea"


@app.command()
def dhcp(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A fleet file, or a folder of them.")],
    server: Annotated[Server | None, typer.Option(
        "--server", metavar="dnsmasq|dnsmasq-proxy|kea", show_default=False,
        help="The DHCP server; provider.boot.dhcp.server where not given, else dnsmasq.")] = None,
    out: Annotated[str, typer.Option("--out", metavar="FILE", show_default=False,
                                     help="Write the configuration here, in one piece.")] = "",
) -> int:
    """Print the configuration of a DHCP server that boots this fleet's hosts."""
    with _workshop(context).open(path) as work:
        text, warnings = rendered(work.fleet, server.value if server is not None else "")
    for one in warnings:
        typer.echo(_sentence(one), err=True)
    if out:
        _write(out, text)
        typer.echo(f"written: {out}", err=True)
    else:
        typer.echo(text, nl=False)
    return 0


def rendered(fleet: Fleet, server: str) -> tuple[str, list[Diagnostic]]:
    """The configuration and warnings. `server`: "" for what the fleet says. Raises FleetError with all problems."""
    from planner.model import FleetError
    from providers.boot import provider
    from providers.boot.dhcp import dnsmasq, kea
    from providers.boot.dhcp.check import checked_site, declared_server
    from providers.boot.dhcp.survey import outlines

    wanted = Server(server or declared_server(fleet) or Server.dnsmasq.value)
    found, unread = outlines(fleet, provider.images(fleet.providers.get("boot", {})))
    try:
        site, warnings = checked_site(fleet, found, wanted.value)
    except FleetError as error:
        raise FleetError(*error.diagnostics, *unread) from None
    if unread:
        raise FleetError(*unread)
    render = {Server.dnsmasq: dnsmasq.render, Server.proxy: dnsmasq.render_proxy, Server.kea: kea.render}[wanted]
    return render(site), warnings


def _write(name: str, text: str) -> None:
    """Replace the file as a whole. Raises OSError."""
    import os
    import tempfile
    from pathlib import Path

    path = Path(name).resolve()
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _sentence(one: Diagnostic) -> str:
    lines = [f"{one.mark}: {one.severity}: {one.summary}" if one.mark else f"{one.severity}: {one.summary}"]
    lines += [f"    {one.detail}"] if one.detail else []
    lines += [f"    do: {one.remedy}"] if one.remedy else []
    return "\n".join(lines)


def _workshop(context: typer.Context) -> Any:
    if context.obj is None:
        from planner.model import FleetError

        raise FleetError("`fleet dhcp` runs as a command of fleet only")
    return context.obj
