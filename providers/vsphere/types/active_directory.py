"""A host's membership of an Active Directory domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import Field, secret
from providers.vsphere.host.secrets import resolved
from providers.vsphere.tools import Tools, after, need

PATH = "config.authenticationManagerInfo.authConfig"
_STORE = "HostActiveDirectoryAuthentication"
_JOIN = ("domain", "ou", "user", "password")


def read(props: Mapping[str, Any], _wanted: frozenset[str]) -> dict[str, Attrs]:
    for each in props.get(PATH) or ():
        if type(each)._wsdlName == "HostActiveDirectoryInfo" and each.joinedDomain:
            return {"active_directory": {"domain": str(each.joinedDomain).lower()}}
    return {}


def _store(tools: Tools, call: Call) -> Any:
    stores = tools.read(tools.manager(call, "authenticationManager"), "supportedStore").get("supportedStore")
    found = next((each for each in stores or () if type(each)._wsdlName == _STORE), None)
    return need(found, "authentication store", "Active Directory")


def join(tools: Tools, call: Call) -> None:
    wanted = after(call)
    domain = f"{wanted['domain']}/{wanted['ou']}" if wanted.get("ou") else str(wanted["domain"])
    password = resolved(call, wanted.get("password"), "the password that joins the domain")
    task = _store(tools, call).JoinDomain_Task(domainName=domain, userName=str(wanted["user"]), password=password)
    tools.wait(task, call)


def leave(tools: Tools, call: Call) -> None:
    """Not by force: that would take away permissions which nobody could give back."""
    tools.wait(_store(tools, call).LeaveCurrentDomain_Task(force=False), call)


def validate(attributes: Attrs) -> Iterable[str]:
    domain = attributes.get("domain")
    if isinstance(domain, str) and domain != domain.lower():
        yield "write the domain in lower case, as it is shown"
    if attributes.get("cam_server"):
        yield ("joining through a vSphere Authentication Proxy (`cam_server`) is not supported: its certificate has to "
               "be brought to the host first, which the vSphere API cannot undo. Join with `user` and `password`")


ACTIVE_DIRECTORY = ResourceType(
    name="active_directory",
    doc="Membership of an Active Directory domain. DNS and time must be right first.",
    parent="host",
    singleton=True,
    order=11,  # after the network, and before NFS datastores with Kerberos
    fields={
        "domain": Field("string", "The domain, in lower case; another one is left and joined.", required=True,
                        check="fqdn", replace=True),
        "ou": Field("string", "Where the computer account goes: OU path below the domain (hosts/esx).",
                    observed=False),
        "user": Field("string", "User that may join computers to the domain (name, or name@domain). Only joining "
                      "uses it.", required=True, observed=False),
        "password": secret("That user's password.", required=True),
        "cam_server": Field("string", "vSphere Authentication Proxy (not supported).", observed=False),
    },
    paths=(PATH,),
    read=read,
    validate=validate,
    operations=(
        Operation("active_directory.join", "HostActiveDirectoryAuthentication.JoinDomain_Task", "create",
                  "Join the domain.", join, _JOIN, inverse="active_directory.leave",
                  privileges=("Host.Config.AuthenticationStore",)),
        Operation("active_directory.leave", "HostActiveDirectoryAuthentication.LeaveCurrentDomain_Task", "delete",
                  "Leave the domain; refused where its users have permissions on the host.", leave,
                  inverse="active_directory.join", loses="trusts that were set for the computer account in the domain",
                  privileges=("Host.Config.AuthenticationStore",)),
    ),
)
