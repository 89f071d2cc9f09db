"""The vSphere provider: vCenter, its containers and hosts, through pyVmomi. Importing it is cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from planner.catalog import Operation, ResourceType
from planner.ports import OpenContext
from planner.schema import Field, boolean, integer, secret, string

if TYPE_CHECKING:
    from planner.model import Attrs, Diagnostic, Fleet, Live
    from providers.vsphere.session import VsphereSession


class VsphereProvider:
    """`planner.ports.Provider`. Session: `providers.vsphere.session.VsphereSession`."""

    name = "vsphere"
    reserved: Mapping[str, str] = {
        **dict.fromkeys(("tag", "tag_category", "tag_assignment"),
                        "tags: they are not in vSphere's SOAP API (pyVmomi) but only in the REST API; set them with "
                        "another tool, or use `custom_attribute` and `custom_value`"),
        "user": "local users: they are `users` of their host",
    }

    def types(self) -> Sequence[ResourceType]:
        from providers.vsphere.types import TYPES

        return TYPES

    def operations(self) -> Sequence[Operation]:
        return ()

    def block(self) -> Mapping[str, Field]:
        return {
            "server": string("vCenter: host or host:port; or twin, the one inside fleet.", required=True),
            "user": string("User that logs in."),
            "password": secret("The user's password."),
            "ca_file": string("PEM file of the CA that signed the server's certificate; the system's where unset.",
                              check="path"),
            "thumbprint": string("SHA-256 (or SHA-1) thumbprint of the server's certificate, instead of a CA."),
            "seed": string("What the twin has besides the declared machines (twin only).", check="path"),
            "coexist": boolean("Manage hosts although a Host Profile or Lifecycle Manager configures them, too."),
            "timeout": integer("Seconds to wait for an answer of the server.", minimum=1, maximum=3600, default=60),
        }

    def open(self, context: OpenContext) -> VsphereSession:
        """Connect and log in. Raises FleetError naming the server, what is wrong and what to do."""
        from providers.vsphere.opening import open_session

        return open_session(context)

    def problems(self, fleet: Fleet) -> Iterable[Diagnostic]:
        """What is wrong with the provider block and among hosts, as far as it shows offline: for `fleet validate`."""
        from providers.vsphere.block import block_problems
        from providers.vsphere.storage_rules import storage_problems

        block = fleet.providers.get(self.name)
        return (*(() if block is None else block_problems(block)), *storage_problems(fleet))

    def cautions(self, fleet: Fleet, live: Live) -> Iterable[Diagnostic]:
        """What a plan has to say of storage: dead datastores, and what `problems` refuses of it."""
        from providers.vsphere.storage_rules import storage_cautions, storage_problems

        return (*storage_problems(fleet), *storage_cautions(fleet, live))

    def power(self, fleet: Fleet) -> Callable[[Attrs], str]:
        """How machines are started, without a server: for plans that read nothing. Raises FleetError for a bad seed."""
        from providers.vsphere.block import power_offline

        return power_offline(fleet.providers.get(self.name, {}))

    def carried(self, block: Attrs) -> Mapping[str, str]:
        """The CA by which vCenter is trusted. Opening the session says what is wrong with it."""
        from pathlib import Path

        path = block.get("ca_file")
        try:
            return {"ca_file": Path(path).read_text(encoding="ascii")} if isinstance(path, str) and path else {}
        except (OSError, UnicodeDecodeError):
            return {}

    def image_digests(self, fleet: Fleet) -> Mapping[str, str]:
        return {}


provider = VsphereProvider()
