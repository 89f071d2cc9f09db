"""iSCSI, LUNs, VMFS, NFS, scratch and core dumps against the twin: one call each, exact inverses, good refusals."""

from __future__ import annotations

from typing import Any

import pytest

from planner.model import Action, Attrs, Change, SecretRef, StepFailed, Unknown
from providers.twin.seed_format import LunSeed, SanSeed
from providers.vsphere.types import fc, vmfs
from providers.vsphere.types.core_dump import CORE_DUMP
from providers.vsphere.types.iscsi import ISCSI as ADAPTER
from providers.vsphere.types.iscsi_port import ISCSI_PORT
from providers.vsphere.types.iscsi_target import ISCSI_STATIC_TARGET, ISCSI_TARGET
from providers.vsphere.types.nfs import NFS
from providers.vsphere.types.scratch import SCRATCH
from providers.vsphere.types.vmfs import VMFS
from tests.support.san import ARRAY, BLANK, BOOT, DUMP, ISCSI, LATE, PORTALS, PROVEN, SEED, VAULT, equip
from tests.unit.vsphere.kit import HOST, OPERATIONS, Bench, at, open_bench

ON = f"{HOST}."
OTHER = "iqn.1998-01.com.vmware:other"
PROOF: dict[str, Any] = {"chap": "required", "chap_name": "esx", "chap_secret": SecretRef("env:CHAP")}
PLAIN: dict[str, Any] = {"chap": "prohibited", "chap_name": "", "chap_secret": None}
STATIC = f'{ON}iscsi_static_target["{ARRAY}"]'
WHERE = f"/vmfs/volumes/san1/{'esx'}"

CHANGES: list[tuple[str, str, Attrs | None, Attrs | None]] = [
    (ON + "iscsi", "iscsi.name", {"iqn": Unknown("")}, {"iqn": OTHER}),
    (ON + "iscsi", "iscsi.chap", PLAIN, PROOF),
    (ON + "iscsi_port.vmk0", "iscsi_port.bind", None, {}),
    (ON + 'iscsi_target["10.0.30.10"]', "iscsi_target.add", None, {"port": 3260}),
    (STATIC, "iscsi_static_target.add", None, {"portals": list(PORTALS[:2])}),
    (ON + 'nfs.k', "nfs.mount", None, {"server": "nas1,nas2", "path": "/k", "version": "4.1", "access": "readWrite",
                                       "security": "AUTH_SYS"}),
    (ON + "vmfs.san1", "vmfs.unmount", {"mounted": True}, {"mounted": False}),
    (ON + "scratch", "scratch.set", {"location": ""}, {"location": WHERE}),
    (ON + "core_dump", "core_dump.select", {"partition": ""}, {"partition": f"{DUMP}:2"}),
]


@pytest.fixture
def bench() -> Bench:
    made = open_bench()
    made.joined()
    equip(made.house)
    return made


@pytest.fixture
def scsi(bench: Bench) -> Bench:
    bench.run(ON + "iscsi", "iscsi.enable", {"enabled": False}, {"enabled": True})
    return bench


def shows(found: Attrs | None, expected: Attrs | None) -> bool:
    if expected is None or found is None:
        return expected is None and found is None
    return all(isinstance(v, Unknown) or k.endswith("_secret") or found[k] == v for k, v in expected.items())


@pytest.mark.parametrize(("address", "name", "before", "after"), CHANGES, ids=[c[1] for c in CHANGES])
def test_one_call_forward_and_one_back_to_the_same(scsi: Bench, address: str, name: str, before: Attrs | None,
                                                   after: Attrs | None) -> None:
    operation = OPERATIONS[name]
    inverse = OPERATIONS[operation.inverse]
    dump, image = scsi.house.dump(), scsi.observe(address, name, before, after)
    assert shows(image, before)
    assert scsi.made(lambda: scsi.run(address, name, before, after)) == [operation.call]
    assert shows(scsi.observe(address, name, before, after), after)
    assert scsi.house.dump() != dump
    back = None if before is None else {k: image[k] if isinstance(v, Unknown) and image else v
                                        for k, v in before.items()}
    assert scsi.made(lambda: scsi.run(address, inverse.name, after, back)) == [inverse.call]
    assert scsi.house.dump() == dump


def test_enabling_and_disabling(bench: Bench) -> None:
    dump = bench.house.dump()
    where = ON + "iscsi"
    assert bench.observe(where, "iscsi.enable") == {
        "enabled": False, "adapter": "",
        **dict.fromkeys(("iqn", "chap", "chap_name", "mutual_chap", "mutual_name"),
                        Unknown("read when the adapter is enabled"))}
    bench.run(where, "iscsi.enable", {"enabled": False}, {"enabled": True})
    found = bench.observe(where, "iscsi.enable")
    assert found is not None
    assert str(found["iqn"]).startswith("iqn.1998-01.com.vmware:esx-")
    assert found["adapter"] == "vmhba64"
    bench.run(where, "iscsi.disable", {"enabled": True}, {"enabled": False})
    assert bench.house.dump() == dump


def test_an_adapter_with_targets_or_ports_is_not_disabled(scsi: Bench) -> None:
    scsi.run(STATIC, "iscsi_static_target.add", None, {"portals": [PORTALS[0]]})
    scsi.run(ON + "iscsi_port.vmk0", "iscsi_port.bind", None, {})
    with pytest.raises(StepFailed, match="in use") as caught:
        scsi.run(ON + "iscsi", "iscsi.disable", {"enabled": True}, {"enabled": False})
    assert ARRAY in caught.value.detail
    assert "vmk0" in caught.value.detail


def test_what_needs_an_adapter_says_so(bench: Bench) -> None:
    with pytest.raises(StepFailed, match="not enabled") as caught:
        bench.run(ON + 'iscsi_target["10.0.30.10"]', "iscsi_target.add", None, {"port": 3260})
    assert "enabled: true" in caught.value.remedy


def test_portals_come_and_go_one_by_one(scsi: Bench) -> None:
    scsi.run(STATIC, "iscsi_static_target.add", None, {"portals": [PORTALS[0]]})
    both: Attrs = {"portals": [PORTALS[0], PORTALS[1]]}
    one: Attrs = {"portals": [PORTALS[0]]}
    made = scsi.made(lambda: scsi.run(STATIC, "iscsi_static_target.add_portal", one, both))
    assert made == ["HostStorageSystem.AddInternetScsiStaticTargets"]
    assert shows(scsi.observe(STATIC, "iscsi_static_target.add_portal"), both)
    scsi.run(STATIC, "iscsi_static_target.remove_portal", both, one)
    assert shows(scsi.observe(STATIC, "iscsi_static_target.add_portal"), one)


def test_what_a_portal_was_asked_for_is_no_static_target_of_ours(scsi: Bench) -> None:
    scsi.run(ON + 'iscsi_target["10.0.30.10"]', "iscsi_target.add", None, {"port": 3260})
    scsi.run(HOST, "host.rescan", {}, {})
    assert scsi.observe(STATIC, "iscsi_static_target.add") is None


def test_chap_secrets_are_resolved_when_used_and_shown_nowhere(scsi: Bench) -> None:
    scsi.resolve = lambda ref: {"env:CHAP": "s3cret!", "env:BACK": "F1rst!pass"}[ref.reference]
    mutual = {**PROOF, "mutual_chap": True, "mutual_name": "array", "mutual_secret": SecretRef("env:BACK")}
    scsi.run(f'{ON}iscsi_static_target["{VAULT}"]', "iscsi_static_target.add", None, {"portals": [PORTALS[2]]})
    scsi.run(ON + "iscsi", "iscsi.chap", PLAIN, mutual)
    scsi.run(HOST, "host.rescan", {}, {})
    assert scsi.observe(ON + f'fc["{PROVEN}"]', "fc.rescan") == {"present": True}
    assert "s3cret!" not in str(scsi.observe(ON + "iscsi", "iscsi.chap"))


def test_an_unknown_chap_secret_is_not_made_up(scsi: Bench) -> None:
    with pytest.raises(StepFailed, match="not known"):
        scsi.run(ON + "iscsi", "iscsi.chap", PLAIN, {"chap": "required", "chap_name": "esx", "chap_secret": None})


# --- LUNs and volumes -------------------------------------------------------------------------------------


def test_a_lun_that_was_mapped_later_is_found_by_one_rescan(bench: Bench) -> None:
    where = f'{ON}fc["{LATE}"]'
    assert bench.observe(where, "fc.rescan") == {"present": False}
    step = bench.call(where, "fc.rescan", {"present": False}, {"present": True})
    assert bench.session.guard("not-yet", step)
    assert bench.made(lambda: bench.run(where, "fc.rescan", {"present": False}, {"present": True})) == [
        "HostStorageSystem.RescanAllHba"]
    assert not bench.session.guard("not-yet", step)


def test_a_lun_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(StepFailed, match="not presented") as caught:
        bench.run(f'{ON}fc["{ISCSI}"]', "fc.rescan", {"present": False}, {"present": True})
    assert ISCSI in caught.value.detail


def test_names_of_luns() -> None:
    def said(name: str, after: Attrs) -> list[str]:
        address = at(f'{ON}fc["{name}"]')
        return [d.summary for d in fc.check([Change(address, Action.UPDATE, {}, after)], {})]

    assert said(BOOT, {"present": True}) == []
    assert said("mpx.vmhba0:C0:T0:L0", {"present": True}) == ["this is no world-wide name of a disk"]
    assert said(BOOT, {"present": False}) == ["a LUN cannot be declared absent"]


MAKE: Attrs = {"present": True, "disk": BLANK, "create": True}
NONE: Attrs = {"present": False, "disk": Unknown(""), "create": False}


def test_a_volume_is_made_when_asked_for_on_an_empty_disk(bench: Bench) -> None:
    where = ON + "vmfs.fresh"
    found = bench.observe(where, "vmfs.create", NONE, MAKE)
    assert found is not None
    disks: Any = found["disks"]
    assert (disks[BLANK], disks[BOOT], disks[DUMP]) == ("", "1 partition (vmfs)",
                                                        "2 partitions (linux, vmkDiagnostic)")
    made = bench.made(lambda: bench.run(where, "vmfs.create", NONE, MAKE))
    assert made == ["HostDatastoreSystem.CreateVmfsDatastore"]
    found = bench.observe(where, "vmfs.create")
    assert found is not None
    assert {k: found[k] for k in ("present", "mounted", "disk", "create")} == {**MAKE, "mounted": True}
    assert not bench.session.guard("not-yet", bench.call(where, "vmfs.create", NONE, MAKE))


@pytest.mark.parametrize(("disk", "words"), [(DUMP, "2 partitions"), (BOOT, "1 partition"), (LATE, "not in sight")])
def test_a_disk_that_holds_something_is_never_formatted(bench: Bench, disk: str, words: str) -> None:
    def attempt() -> None:
        with pytest.raises(StepFailed) as caught:
            bench.run(ON + "vmfs.fresh", "vmfs.create", NONE, {**MAKE, "disk": disk})
        assert words in f"{caught.value.summary}: {caught.value.detail}"

    assert bench.made(attempt) == []


def test_a_disk_with_a_copy_of_a_volume_is_never_formatted() -> None:
    """A copy whose partition table is gone still has a signature: the host lists it as unresolved."""
    bench = open_bench()
    bench.joined()
    equip(bench.house, SanSeed(luns={BLANK: LunSeed(hosts=["*"], vmfs="old", copy=True)}))
    bench.house.inventory.site.san.luns[BLANK].holds = []

    def attempt() -> None:
        with pytest.raises(StepFailed, match="a copy of a VMFS volume"):
            bench.run(ON + "vmfs.fresh", "vmfs.create", NONE, MAKE)

    assert bench.made(attempt) == []


def refusals(existing: Attrs, after: Attrs) -> list[str]:
    change = Change(at(ON + "vmfs.fresh"), Action.UPDATE, existing, after)
    return [f"{d.severity} {d.summary}" for d in vmfs.check([change], {"fresh": existing})]


def test_what_must_not_be_formatted_is_refused_at_plan() -> None:
    gone: dict[str, Any] = {**NONE, "disks": {BLANK: "", DUMP: "2 partitions"}}
    assert refusals(gone, MAKE) == []
    assert refusals(gone, {**MAKE, "disk": DUMP}) == ["error this disk is not empty"]
    assert refusals({**gone, "present": True, "disk": BOOT}, MAKE) == ["error this volume is on another disk"]
    assert refusals({"present": Unknown("")}, MAKE) == []


def test_a_volume_appears_by_a_scan_once_its_disk_is_there() -> None:
    bench = open_bench()
    bench.joined()
    equip(bench.house, SanSeed(luns={LATE: LunSeed(hosts=["*"], late=True, vmfs="far")}))
    where, seen = ON + "vmfs.far", {"present": True}
    with pytest.raises(StepFailed, match="not in sight"):
        bench.run(where, "vmfs.scan", {"present": False}, seen)
    bench.run(HOST, "host.rescan", {}, {})
    assert bench.made(lambda: bench.run(where, "vmfs.scan", {"present": False}, seen)) == [
        "HostStorageSystem.RescanVmfs"]
    with pytest.raises(StepFailed, match="another disk"):
        bench.run(where, "vmfs.scan", {"present": False}, {**seen, "disk": BOOT})


def test_a_diagnostic_partition_that_is_not_there_is_not_made(bench: Bench) -> None:
    with pytest.raises(StepFailed, match="no such diagnostic partition") as caught:
        bench.run(ON + "core_dump", "core_dump.select", {"partition": ""}, {"partition": f"{BLANK}:1"})
    assert f"{DUMP}:2" in caught.value.detail


# --- NFS ----------------------------------------------------------------------------------------------------


def test_a_dead_mount_is_seen_and_removed(bench: Bench) -> None:
    mount: Attrs = {"server": "nas9", "path": "/x", "version": "3", "access": "readWrite", "security": "AUTH_SYS"}
    bench.run(ON + "nfs.old", "nfs.mount", None, mount)
    bench.house.inventory.site.unreachable = ["nas9:*"]
    found = bench.observe(ON + "nfs.old", "nfs.unmount")
    assert found is not None
    assert found["dead"] == "its server does not answer (AllPathsDown_Timeout)"
    irreversible = OPERATIONS["nfs.unmount"].irreversible
    assert callable(irreversible)
    assert "cannot be mounted again" in irreversible(found, None)
    assert irreversible(mount, None) == ""
    made = bench.made(lambda: bench.run(ON + "nfs.old", "nfs.unmount", found, None))
    assert made == ["HostDatastoreSystem.RemoveDatastore"]
    assert bench.observe(ON + "nfs.old", "nfs.unmount") is None


# --- what is refused in a file ------------------------------------------------------------------------------

REF = SecretRef("env:A")
WRONG: list[tuple[Any, Attrs, str]] = [
    (ADAPTER, {"enabled": False, "iqn": OTHER}, "an adapter that is off has no iqn"),
    (ADAPTER, {"enabled": True, "iqn": "esx01"}, "no iSCSI name"),
    (ADAPTER, {"enabled": True, "chap": "required"}, "needs `chap_name` and `chap_secret`"),
    (ADAPTER, {"enabled": True, "chap_name": "x"}, "need `chap:`"),
    (ADAPTER, {"enabled": True, "chap": "prohibited", "chap_name": "x"}, "takes no names"),
    (ADAPTER, {"enabled": True, **PROOF, "mutual_chap": True}, "needs `mutual_name`"),
    (ADAPTER, {"enabled": True, **PROOF, "chap": "preferred", "mutual_chap": True, "mutual_name": "a",
               "mutual_secret": REF}, "needs `chap: required`"),
    (ADAPTER, {"enabled": True, **PROOF, "chap_secret": REF, "mutual_chap": True, "mutual_name": "a",
               "mutual_secret": REF}, "must differ"),
    (ADAPTER, {"enabled": True, **PROOF, "mutual_name": "a"}, "need `mutual_chap: true`"),
    (ISCSI_STATIC_TARGET, {"portals": []}, "at least one portal"),
    (ISCSI_STATIC_TARGET, {"portals": ["10.0.0.1"]}, "no portal"),
    (ISCSI_STATIC_TARGET, {"portals": ["10.0.0.1:99999"]}, "no portal"),
    (VMFS, {"create": True}, "needs `disk`"),
    (VMFS, {"create": False}, "leave `create` out"),
    (VMFS, {"present": False}, "fleet deletes no volume"),
    (NFS, {"server": "a,b", "path": "/x"}, "several servers need"),
    (NFS, {"server": "a,a", "path": "/x", "version": "4.1"}, "names one server twice"),
    (NFS, {"server": "a,", "path": "/x", "version": "4.1"}, "an empty name"),
    (NFS, {"server": "a", "path": "/x", "security": "SEC_KRB5"}, "needs `version:"),
    (SCRATCH, {"location": "/tmp/scratch"}, "no place that lasts"),
    (CORE_DUMP, {"partition": "naa.1"}, "no partition"),
    (CORE_DUMP, {"network": "10.0.0.9"}, "the vSphere API has no call for it"),
    (CORE_DUMP, {"file": True}, "the vSphere API has no call for it"),
]


@pytest.mark.parametrize(("rtype", "attributes", "words"), WRONG, ids=[f"{w[0].name}-{n}" for n, w in enumerate(WRONG)])
def test_what_does_not_go_together_is_said(rtype: Any, attributes: Attrs, words: str) -> None:
    assert any(words in sentence for sentence in rtype.validate(attributes)), list(rtype.validate(attributes))


@pytest.mark.parametrize(("rtype", "attributes"), [
    (ADAPTER, {"enabled": True, "iqn": OTHER, **PROOF}), (ADAPTER, {"enabled": False}),
    (ADAPTER, {"enabled": True, "chap": "prohibited"}),
    (ISCSI_STATIC_TARGET, {"portals": ["10.0.0.1:3260", "[fd00::1]:3260"]}),
    (VMFS, {"mounted": True, "create": True, "disk": BLANK, "present": True}),
    (NFS, {"server": "a,b", "path": "/x", "version": "4.1", "security": "SEC_KRB5I"}),
    (SCRATCH, {"location": WHERE}), (CORE_DUMP, {"partition": f"{DUMP}:2"}), (CORE_DUMP, {"partition": ""}),
])
def test_what_goes_together_is_not(rtype: Any, attributes: Attrs) -> None:
    assert list(rtype.validate(attributes)) == []


NET: dict[tuple[str, str], Attrs] = {
    ("iscsi", "iscsi"): {"enabled": True}, ("vmkernel", "vmk2"): {"portgroup": "a"},
    ("portgroup", "a"): {"vswitch": "s"}, ("vswitch", "s"): {"uplinks": ["vmnic1"]}}


@pytest.mark.parametrize(("changed", "words"), [
    ({}, ""),
    ({("iscsi", "iscsi"): {"enabled": False}}, "not declared as enabled"),
    ({("vmkernel", "vmk2"): None}, "no VMkernel adapter"),
    ({("vswitch", "s"): {"uplinks": ["vmnic1", "vmnic2"]}}, "vmnic1, vmnic2"),
    ({("vswitch", "s"): {"uplinks": []}}, "none"),
    ({("vswitch", "s"): {"uplinks": ["vmnic1", "vmnic2"]},
      ("portgroup", "a"): {"vswitch": "s", "teaming": {"active": ["vmnic2"], "standby": []}}}, ""),
    ({("portgroup", "a"): {"vswitch": "s", "teaming": {"active": ["vmnic1"], "standby": ["vmnic2"]}}}, "standby"),
    ({("portgroup", "a"): {"vswitch": "s", "teaming": {"active": ["inherit"], "standby": ["inherit"]}}}, ""),
])
def test_what_a_port_needs_of_its_host(changed: dict[tuple[str, str], Any], words: str) -> None:
    host = {k: v for k, v in {**NET, **changed}.items() if v is not None}
    assert ISCSI_PORT.fits is not None
    found = ISCSI_PORT.fits("vmk2", {}, host)
    assert (words in found[0]) if found is not None and words else found is None and not words


def test_what_targets_need_of_their_host() -> None:
    for rtype in (ISCSI_TARGET, ISCSI_STATIC_TARGET):
        assert rtype.fits is not None
        assert rtype.fits("10.0.0.1", {}, {}) is not None
        assert rtype.fits("10.0.0.1", {}, NET) is None


def test_readings_of_a_host_that_shows_nothing() -> None:
    assert ADAPTER.read is not None
    assert ADAPTER.read({}, frozenset()) == {}
    assert fc.read({}, frozenset({BOOT})) == {BOOT: {"present": False}}
    assert vmfs.read({}, frozenset({"a"}))["a"]["present"] is False
    assert SCRATCH.read is not None
    assert SCRATCH.read({}, frozenset()) == {}
    assert CORE_DUMP.read is not None
    assert CORE_DUMP.read({}, frozenset()) == {"core_dump": {"partition": ""}}
    assert set(SEED.luns) >= {BOOT, LATE}


# --- declared faults ------------------------------------------------------------------------------------------


def _faults() -> list[tuple[str, str, str, Attrs | None, Attrs | None]]:
    """Every operation of storage with every fault that the API's metadata declares for its method (RuntimeFaults aside:
    tests/faults injects those into whole applies)."""
    from providers.twin.core.meta import declared_faults

    more: list[tuple[str, str, Attrs | None, Attrs | None]] = [
        (HOST, "host.rescan", {}, {}), (HOST, "host.refresh_storage", {}, {}), (HOST, "host.scan_vmfs", {}, {}),
        (ON + "vmfs.fresh", "vmfs.create", NONE, MAKE), (ON + "iscsi", "iscsi.enable", None, {"enabled": True}),
        (ON + f'fc["{LATE}"]', "fc.rescan", {"present": False}, {"present": True})]
    found = []
    for address, name, before, after in [*CHANGES, *more]:
        for fault in declared_faults(*OPERATIONS[name].call.split(".")):
            if fault._wsdlName != "RuntimeFault":
                found.append((address, name, f"vim.fault.{fault._wsdlName}", before, after))
    return found


@pytest.mark.parametrize(("address", "name", "fault", "before", "after"), _faults(),
                         ids=[f"{f[1]}-{f[2].rpartition('.')[2]}" for f in _faults()])
def test_a_declared_fault_is_named_and_nothing_is_changed(address: str, name: str, fault: str, before: Attrs | None,
                                                          after: Attrs | None) -> None:
    bench = open_bench()
    bench.joined()
    equip(bench.house)
    bench.run(ON + "iscsi", "iscsi.enable", {"enabled": False}, {"enabled": True})
    dump = bench.house.dump()
    bench.house.faults.add(kind="fault", method=OPERATIONS[name].call, fault=fault)
    with pytest.raises(StepFailed, match=fault.rpartition(".")[2]) as caught:
        bench.run(address, name, before, after)
    assert not caught.value.in_doubt
    assert bench.house.dump() == dump
