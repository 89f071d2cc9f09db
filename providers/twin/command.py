"""`fleet twin`: the embedded twin of a fleet, served to other clients, and its machines' power buttons.

    fleet twin serve [PATH] [--hosts N [--profile NAME] | --seed FILE] [--port P]
    fleet twin power PATH ADDR on|off|cycle

Commands find the fleet through `planner.ports.Workshop` in typer's `obj`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True,
                  help="The embedded twin: power its machines, serve it over HTTPS.")


class Profile(StrEnum):
    newborn = "newborn"
    esxi8 = "esxi-8.0.3"


class Button(StrEnum):
    on = "on"
    off = "off"
    cycle = "cycle"


@app.command("serve")
def serve(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", show_default=False,
                                        help="A fleet whose twin is served; without, an empty one.")] = "",
    hosts: Annotated[int, typer.Option("--hosts", metavar="N", min=0, max=10_000,
                                       help="Without PATH: this many connected hosts in dc0/prod.")] = 0,
    profile: Annotated[Profile, typer.Option("--profile", help="With --hosts: how its hosts are set up.")] =
    Profile.newborn,
    listen: Annotated[str, typer.Option("--listen", metavar="ADDRESS", help="The address to serve at.")] = "127.0.0.2",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The TCP port; 0 takes a free one.")] = 8443,
    ca_file: Annotated[str, typer.Option("--ca-file", metavar="FILE", show_default=False,
                                         help="Write the certificate here, for clients to verify against.")] = "",
    faults: Annotated[str, typer.Option("--faults", metavar="FILE", show_default=False,
                                        help="Fault rules, YAML.")] = "",
    seed: Annotated[str, typer.Option("--seed", metavar="FILE", show_default=False,
                                      help="Without PATH: what the new twin has, YAML.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Where it is served, as JSON.")] = False,
) -> int:
    """Serve a vCenter over HTTPS until Ctrl-C: /sdk, and each host's own door at /hosts/ADDRESS/sdk.

    Machines that boot outside of it (`power: external`) say so at /machines/MAC/born.
    """
    from providers.twin.serving import Serving, serve_fleet, serve_new

    if path and hosts:
        raise typer.BadParameter("--hosts makes hosts of its own; the hosts of a fleet come from PATH")
    if seed and (path or hosts):
        raise typer.BadParameter("--seed lays down a twin of its own: leave out PATH and --hosts")
    wanted = Serving(listen, port, ca_file, faults, as_json, seed)
    return serve_fleet(_workshop(context), path, wanted) if path else serve_new(hosts, wanted, profile.value)


@app.command("power")
def power(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A fleet file, or a folder of them.")],
    address: Annotated[str, typer.Argument(metavar="ADDR", help="The host: 'host.esx[\"esx01\"]'.")],
    button: Annotated[Button, typer.Argument(metavar="on|off|cycle", help="What to press.", show_default=False)],
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0,
                                        help="How long a boot may take.")] = 300.0,
) -> int:
    """Press a machine's power button. A machine that starts boots what stands for it, from this fleet's boot files."""
    from providers.twin.buttons import press

    machine = press(_workshop(context), path, address, button.value, wait)
    typer.echo(f"{address}: {machine.power}")
    return 0


def _workshop(context: typer.Context) -> Any:
    if context.obj is None:
        from planner.model import FleetError

        raise FleetError("`fleet twin` runs as a command of fleet only")
    return context.obj
