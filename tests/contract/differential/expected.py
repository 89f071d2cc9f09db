"""Where VMware's simulator and the twin answer differently, each reviewed. "API" is VMware's documentation of it.

A difference that is not here fails the test, and so does one that is here and no longer occurs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.contract.differential.probing import UNREACHED


class Difference(NamedTuple):
    """What each peer answers, and why the twin answers as it does."""

    vcsim: Any
    twin: Any
    reason: str


GONE, UNHEARD = "fault ManagedObjectNotFound", "fault MethodNotFound"

EXPECTED: Mapping[str, Difference] = {
    # --- containers
    "its name again": Difference(
        "dc0", "fault DuplicateName",
        "API: CreateDatacenter raises DuplicateName; the simulator makes a second one of that name"),
    "renamed to a name that is taken": Difference(
        "fault InvalidArgument", "fault DuplicateName", "API: Rename_Task raises DuplicateName"),
    "moved into a folder": Difference(
        "racks", "fault NotSupported",
        "fleet moves no folders (another folder is a replacement), so the twin does not play it, and says so"),
    "a rule of a group that is not there": Difference(
        None, "fault InvalidArgument", "a rule without its group can never hold: vCenter refuses it"),
    # --- reading
    "a property that no type has": Difference(
        [["nothing"], []], "fault InvalidProperty",
        "API: InvalidProperty for a path that the type has not; the simulator lists it as missing"),
    # --- what is vCenter's
    "a role of the system": Difference(
        None, "fault InvalidArgument", "API: system roles cannot be removed; the simulator removes Admin"),
    "a role in use": Difference(
        None, "fault RemoveFailed", "API: failIfUsed raises RemoveFailed; the simulator ignores the argument"),
    "a permission that is not there": Difference(
        None, "fault NotFound", "API: RemoveEntityPermission raises NotFound"),
    "a custom field that is not there": Difference(
        "fault NotFound", "fault InvalidArgument",
        "the method's metadata declares no NotFound, and a handler of the twin raises declared faults only"),
    # --- a host
    "a host without a thumbprint": Difference(
        "esx01.test", "fault SSLVerifyFault",
        "API: SSLVerifyFault where neither thumbprint nor a trusted CA vouches; the simulator trusts everybody"),
    "a host that is not there": Difference(
        "fault NoHost", "fault InvalidArgument",
        "an empty hostName is no host that does not answer but a spec that is none; both refuse"),
    "the host again": Difference(
        "esx01.test", "fault AlreadyConnected", "API: AlreadyConnected; the simulator adds the host a second time"),
    "the host by name": Difference(
        False, True, "the simulator compares with a host's DNS settings, which are those of its template"),
    "the vswitch as it is read": Difference(
        False, True, "the simulator keeps what AddVirtualSwitch made to itself: config.network never shows it"),
    "a port group": Difference(
        [], [5], "the simulator's config.network shows no port group that was added"),
    "a port groups name again": Difference(
        "fault DuplicateName", "fault AlreadyExists",
        "API: AddPortGroup declares AlreadyExists, and no DuplicateName"),
    "a resolver": Difference(
        UNHEARD, ["10.0.0.53"], "the simulator has no UpdateDnsConfig"),
    "an option that a host has not": Difference(
        None, "fault InvalidName", "API: UpdateOptions raises InvalidName for a key that does not exist"),
    "an option asked for that a host has not": Difference(
        1, "fault InvalidName",
        "API: QueryOptions raises InvalidName; in the simulator the probe before has made the option"),
    "services": Difference(GONE, True, "the simulator names a HostServiceSystem that it does not have"),
    "a service started": Difference(GONE, [True], "the simulator names a HostServiceSystem that it does not have"),
    "an nfs datastore": Difference(
        "fault NotFound", ["images", "NFS", [True]],
        "the simulator takes the export for a folder of the machine that it runs on"),
    "an nfs datastore again": Difference(
        "fault NotFound", "fault DuplicateName",
        "API: DuplicateName for a name that the host has; the simulator never mounted it (see above)"),
    "an nfs datastore removed": Difference(UNREACHED, [], "the simulator never mounted it (see above)"),
    "left without having been entered": Difference(
        None, "fault InvalidState", "API: ExitMaintenanceMode_Task raises InvalidState outside of maintenance mode"),
    # --- a distributed switch
    "a distributed switchs name again": Difference(
        "fault InvalidArgument", "fault DuplicateName", "API: CreateDVS_Task raises DuplicateName"),
    "its uplink port group": Difference(
        0, 1, "API: a switch that is made without one gets a port group for its uplinks; the simulator lists none"),
    "a host joins it": Difference(
        [], [True], "the simulator keeps its members to itself: config.host stays empty"),
    "a distributed switch that changed since": Difference(
        None, "fault ConcurrentAccess",
        "API: another configVersion raises ConcurrentAccess; the simulator does not look at it"),
    # --- the end
    "a datacenter with something in it": Difference(
        "fault ResourceInUse", "fault InvalidState",
        "API: Destroy_Task names no fault for this; both refuse, and fleet asks before it calls"),
    "a cluster destroyed": Difference(
        UNHEARD, "fault InvalidState",
        "the simulator cannot destroy a cluster; the twin refuses while a host outside of maintenance mode is in it"),
}
