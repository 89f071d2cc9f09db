"""Strategies of what hangs on a host beside its network and storage: services, time, logs, options, firewall, power."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.properties.breadth.existing import Labelled, labelled, single, some

ALLOWED = st.sampled_from([["all"], ["10.0.0.0/8"], ["10.0.0.9", "10.1.0.0/16", "2001:db8::/32"]])


def clocks() -> Labelled:
    return single(some({}, domain=st.integers(0, 255), fallback=st.booleans(), running=st.booleans(),
                       ports=st.sampled_from([[], [{"device": "vmk0", "ip": "", "netmask": ""}]]),
                       policy=st.sampled_from(["on", "off"])))


def logs() -> Labelled:
    return single(some(
        {"targets": st.sampled_from([[], ["udp://10.0.0.9:514"], ["tcp://10.0.0.9:514", "ssl://10.0.0.8:1514"]])},
        firewall=st.booleans(), allowed=ALLOWED, log_dir=st.sampled_from(["[] /scratch/log", "[images] /logs"]),
        unique=st.booleans(), rotate=st.integers(0, 100), size=st.sampled_from([512, 1024]),
        level=st.sampled_from(["error", "info"]), check_certificates=st.booleans(), strict_x509=st.booleans(),
        audit_records=st.booleans(), max_message=st.sampled_from([1024, 4096])))


def rulesets() -> Labelled:
    """Of those that ESXi leaves to users."""
    return labelled(("sshClient", "httpClient", "syslog", "vSPC", "webAccess"),
                    some({}, enabled=st.booleans(), allowed=ALLOWED))


def swaps() -> Labelled:
    return single(some({"datastore": st.just("")}, system=st.sampled_from([[], ["host_local"],
                                                                          ["host_cache", "host_local"]])))


def autostarts() -> Labelled:
    return single(some({"enabled": st.booleans()}, start_delay=st.integers(0, 300), stop_delay=st.integers(0, 300),
                       wait_for_heartbeat=st.booleans(), vms=st.just([]),
                       stop_action=st.sampled_from(["power_off", "suspend", "shut_down"])))


def strategies() -> dict[str, Labelled]:
    options = {"UserVars.SuppressShellWarning": st.integers(0, 1), "Syslog.global.defaultRotate": st.integers(0, 100),
               "Config.HostAgent.log.level": st.sampled_from(["info", "verbose"]),
               "VMkernel.Boot.hyperthreading": st.booleans()}
    return {
        "ntp": single(some({"servers": st.sampled_from([["10.0.0.1"], ["10.0.0.2", "10.0.0.1"]])},
                           policy=st.sampled_from(["on", "off"]), running=st.booleans())),
        "ptp": clocks(),
        "syslog": logs(),
        "option": st.fixed_dictionaries({}, optional={
            key: st.fixed_dictionaries({"value": value}) for key, value in options.items()}),
        "service": labelled(("TSM-SSH", "TSM"), some({}, policy=st.sampled_from(["on", "off", "automatic"]),
                                                     running=st.booleans())),
        "firewall": rulesets(),
        "power_policy": single(st.fixed_dictionaries({
            "policy": st.sampled_from(["static", "dynamic", "low", "custom"])})),
        "module": labelled(("lpfc", "nfs41client"), st.fixed_dictionaries({
            "options": st.sampled_from(["", "lpfc_lun_queue_depth=64", "a=1 b=2"])})),
        "swap": swaps(),
        "vsan": single(some({"enabled": st.booleans()})),
        "autostart": autostarts(),
    }
