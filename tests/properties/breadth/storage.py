"""Strategies of a host's storage: iSCSI, LUNs, VMFS, NFS, scratch, core dumps. What they name, the lab's SAN has.

Nothing here needs a rescan that finds something for good: that cannot be undone, and is announced so.
"""

from __future__ import annotations

from hypothesis import strategies as st

from planner.model import SecretRef
from tests.properties.breadth.existing import Labelled, labelled, single, some
from tests.support.san import ARRAY, BLANK, BOOT, CHAP, DUMP, PORTALS, VAULT

PROOF = {"chap_name": CHAP["name"], "chap_secret": SecretRef("env:ROOT")}
MUTUAL = {"mutual_chap": True, "mutual_name": "array", "mutual_secret": SecretRef("env:FIRST")}


def adapters() -> Labelled:
    """Enabled more often than not: everything else of iSCSI needs it."""
    iqn = st.sampled_from(["iqn.1998-01.com.vmware:one", "iqn.1998-01.com.vmware:two"])
    chap = st.sampled_from([
        {}, {"chap": "prohibited"}, {"chap": "preferred", **PROOF}, {"chap": "required", **PROOF},
        {"chap": "required", **PROOF, **MUTUAL}])
    on = st.builds(lambda name, proof: {"enabled": True, **name, **proof}, some({}, iqn=iqn), chap)
    return single(st.one_of(on, on, on, st.just({"enabled": False})))


def exports() -> Labelled:
    """Two datastores never mount one export: the host refuses the second."""
    def export(path: str) -> st.SearchStrategy[dict[str, object]]:
        return some({"path": st.just(path), "server": st.just("nas1")}, version=st.sampled_from(["3", "4.1"]),
                    access=st.sampled_from(["readOnly", "readWrite"]), security=st.just("AUTH_SYS"))

    several = st.just({"path": "/c", "server": "nas1,nas2", "version": "4.1"})
    proven = some({"path": st.just("/d"), "server": st.just("nas1"), "version": st.just("4.1"),
                   "security": st.sampled_from(["SEC_KRB5", "SEC_KRB5I"])})  # kept where the host has domain and user
    return st.fixed_dictionaries({}, optional={
        "images": export("/a"), "templates": export("/b"), "wide": several, "vault": proven})


def strategies() -> dict[str, Labelled]:
    folders = [f"/vmfs/volumes/san1/{name}" for name in ("one", "two")]
    return {
        "iscsi": adapters(),
        "iscsi_port": st.just({"vmk0": {}}),
        "iscsi_target": labelled(("10.0.30.10", "10.0.30.20"), some({}, port=st.sampled_from([3260, 3261]))),
        "iscsi_static_target": st.fixed_dictionaries({}, optional={
            ARRAY: st.fixed_dictionaries({"portals": st.sampled_from([[PORTALS[0]], sorted(PORTALS[:2])])}),
            VAULT: st.just({"portals": [PORTALS[2]]})}),
        "fc": labelled((BOOT, BLANK, DUMP), st.just({"present": True})),
        "nfs": exports(),
        "vmfs": st.fixed_dictionaries({"san1": some({"present": st.just(True), "mounted": st.booleans()},
                                                    disk=st.just(BOOT))}),
        "scratch": single(st.fixed_dictionaries({"location": st.sampled_from(folders)})),
        "core_dump": single(st.fixed_dictionaries({"partition": st.sampled_from(["", f"{DUMP}:2"])})),
    }
