"""A host's services over HTTPS: read by the streaming reader, applied, nothing left to plan, rolled back."""

from __future__ import annotations

from tests.faults.vcenter_kit import vcenter_door

BODY = """\
ptp: {domain: 7, ports: [{device: vmk0}], fallback: true}
    syslog: {targets: ["udp://10.0.0.9:514"], rotate: 20, allowed: [10.0.0.9, "2001:db8::/32"]}
    firewall: {sshClient: {enabled: true, allowed: [10.0.0.0/8]}, webAccess: {enabled: false}}
    power_policy: static
    module: {lpfc: lpfc_lun_queue_depth=64}
    nfs: {a: {server: nas1, path: /a}}
    swap: {datastore: a, system: [datastore, host_local], system_datastore: a}
    vsan: {}
    autostart: {start_delay: 5, stop_action: shut_down}
    option: {UserVars.SuppressShellWarning: 1, Config.HostAgent.log.level: verbose}
"""


def test_applied_and_rolled_back() -> None:
    with vcenter_door() as door:
        before = door.house.dump()
        door.declare(body=BODY)
        found = door.site.look("apply", "fleet.yaml", "--auto-approve")
        assert "kernel module options count from the next boot on" in found.err + found.out
        door.site.look("plan", "fleet.yaml", "--detailed-exitcode", code=0)
        door.site.look("rollback", "fleet.yaml", "--auto-approve")
        now = door.house.dump()
        assert {k: v for k, v in now.items() if k != "passwords"} == {
            k: v for k, v in before.items() if k != "passwords"}


def test_what_a_host_does_not_take_is_an_error_of_plan() -> None:
    with vcenter_door() as door:
        door.declare(body="option: {UserVars.SuppressShellWarning: 7}\n    firewall: {ntpClient: {enabled: true}}\n"
                          "    autostart: {vms: [{vm: ghost}]}\n    ptp: {ports: [{device: vmk0}, {device: vmk1}]}")
        err = door.site.look("plan", "fleet.yaml", code=1).err
        for words in ("allowed: 0 to 1", "ESXi opens and closes this rule set by itself: ntpClient", "'ghost'",
                      "2 are declared, it has 1"):
            assert words in err, err
        assert door.calls() == []
