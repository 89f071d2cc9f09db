"""Advanced options of an ESXi 8.0.3 host: those that people set, with the types that the API enforces.

One line an option: key | type | default | limits. Types: l long (xsd:long), i int, b bool, s string, c choice. Limits
are `min..max` for numbers and the choices for a choice. `!` before the type: read-only.
A long that arrives as an int is refused, as a real host does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

_TABLE = """
Annotations.WelcomeMessage|s||
Config.HostAgent.log.level|c|info|none quiet panic error warning info verbose trivia
Config.HostAgent.plugins.hostsvc.esxAdminsGroup|s|ESX Admins|
Config.HostAgent.plugins.hostsvc.esxAdminsGroupAutoAdd|b|true|
Config.HostAgent.plugins.hostsvc.esxAdminsGroupUpdateInterval|i|1|1..30
Config.HostAgent.plugins.solo.enableMob|b|false|
Config.HostAgent.plugins.vimsvc.authValidateInterval|i|1440|0..2147483647
Config.HostAgent.vmacore.soap.maxSessionCount|i|500|0..2147483647
Config.HostAgent.vmacore.soap.sessionTimeout|i|30|0..2147483647
Cpu.AllowWideVsmp|l|0|0..1
Cpu.UseMwait|l|2|0..3
DCUI.Access|s|root|
DataMover.HardwareAcceleratedInit|l|1|0..1
DataMover.HardwareAcceleratedMove|l|1|0..1
Disk.DiskMaxIOSize|l|32767|32..32767
Disk.EnableNaviReg|l|1|0..1
Disk.MaxLUN|l|1024|1..4294967295
Disk.SchedQControlSeqReqs|l|128|0..2048
Disk.SchedQuantum|l|8|1..64
Disk.UseDeviceReset|l|1|0..1
Disk.UseLunReset|l|1|0..1
HBR.ErrThrottleChecksumIO|l|1|0..1
Irq.IRQRebalancePeriod|l|50|10..20000
LPage.LPageDefragEnable|l|1|0..1
Mem.AllocGuestLargePage|l|1|0..1
Mem.CtlMaxPercent|l|65|0..99
Mem.IdleTax|l|75|0..99
Mem.MemZipEnable|l|1|0..1
Mem.MemMinFreePct|l|0|0..50
Mem.ShareForceSalting|l|2|0..2
Mem.ShareRateMax|l|1024|0..32768
Mem.ShareScanGHz|l|4|0..32
Mem.ShareScanTime|l|60|10..600
Migrate.Enabled|l|1|0..1
Migrate.NetTimeout|l|20|1..3600
Migrate.VMotionStreamHelpers|l|0|0..112
Misc.APDHandlingEnable|l|1|0..1
Misc.APDTimeout|l|140|20..999999
Misc.BlueScreenTimeout|l|0|0..65535
Misc.HppManageDegradedPaths|l|1|0..1
NFS.HeartbeatDelta|l|5|3..30
NFS.HeartbeatFrequency|l|12|5..86400
NFS.HeartbeatMaxFailures|l|10|6..10
NFS.HeartbeatTimeout|l|5|3..30
NFS.MaxQueueDepth|l|4294967295|1..4294967295
NFS.MaxVolumes|l|32|8..256
NFS.ReceiveBufferSize|l|1024|64..5120
NFS.SendBufferSize|l|1024|32..5120
NFS41.MaxVolumes|l|32|8..256
Net.BlockGuestBPDU|l|1|0..1
Net.FollowHardwareMac|l|0|0..1
Net.MaxNetifTxQueueLen|l|2000|1..10000
Net.ReversePathFwdCheckPromisc|l|0|0..1
Net.TcpipDefLROEnabled|l|1|0..1
Net.TcpipHeapMax|l|1024|32..16384
Net.TcpipHeapSize|l|8|0..128
Net.TeamPolicyUpDelay|l|100|0..1800000
Net.Vmxnet3HwLRO|l|1|0..1
Nmp.NmpPReservationCmdRetryTime|l|1|1..300
Power.CpuPolicy|s|Balanced|
Scsi.ScsiVVolPESNRO|l|256|32..4096
ScratchConfig.ConfiguredScratchLocation|s||
ScratchConfig.CurrentScratchLocation|!s|/tmp/scratch|
Security.AccountLockFailures|i|5|0..100
Security.AccountUnlockTime|i|900|1..999999999
Security.DefaultShellAccess|b|true|
Security.PasswordHistory|i|5|0..100
Security.PasswordMaxDays|i|99999|1..99999
Security.PasswordQualityControl|s|retry=3 min=disabled,disabled,disabled,7,7|
SunRPC.MaxConnPerIP|l|32|1..256
SvMotion.SvMotionAvgDisksPerVM|l|8|4..1024
Syslog.global.auditRecord.remoteEnable|b|false|
Syslog.global.auditRecord.storageEnable|b|false|
Syslog.global.certificate.checkSSLCerts|b|true|
Syslog.global.certificate.strictX509Compliance|b|false|
Syslog.global.defaultRotate|i|8|0..100
Syslog.global.defaultSize|i|1024|1..10240
Syslog.global.logDir|s|[] /scratch/log|
Syslog.global.logDirUnique|b|false|
Syslog.global.logFiltersEnable|b|false|
Syslog.global.logHost|s||
Syslog.global.logLevel|c|error|emerg alert crit error warning notice info debug
Syslog.global.msgQueueDropMark|i|90|0..100
Syslog.global.remoteHost.maxMsgLen|i|1024|1024..16384
UserVars.ActiveDirectoryPreferredDomainControllers|s||
UserVars.ActiveDirectoryVerifyCAMCertificate|l|1|0..1
UserVars.DcuiTimeOut|l|600|0..86400
UserVars.ESXiShellInteractiveTimeOut|l|0|0..86400
UserVars.ESXiShellTimeOut|l|0|0..86400
UserVars.ESXiVPsDisabledProtocols|s|sslv3,tlsv1,tlsv1.1|
UserVars.HardwareHealthSyncTime|l|360|0..43200
UserVars.HostClientCEIPOptIn|l|0|0..2
UserVars.HostClientSessionTimeout|l|900|0..7200
UserVars.HostClientWelcomeMessage|s|Welcome to {{hostname}}|
UserVars.ProductLockerLocation|s|/locker/packages/vmtoolsRepo/|
UserVars.SuppressCoredumpWarning|l|0|0..1
UserVars.SuppressHyperthreadWarning|l|0|0..1
UserVars.SuppressShellWarning|l|0|0..1
UserVars.ToolsRamdisk|l|0|0..1
VMFS3.EnableBlockDelete|l|0|0..1
VMFS3.HardwareAcceleratedLocking|l|1|0..1
VMFS3.MaxHeapSizeMB|l|768|16..768
VMFS3.UseATSForHBOnVMFS5|l|1|0..1
VMkernel.Boot.hyperthreading|b|true|
VMkernel.Boot.hyperthreadingMitigation|b|true|
XvMotion.VMFSOptimizations|l|1|0..1
"""

OptionKind = Literal["l", "i", "b", "s", "c"]


@dataclass(frozen=True, slots=True)
class OptionFact:
    """`low` and `high` bound a number; `choices` are all values of a choice."""

    key: str
    kind: OptionKind
    default: bool | int | str
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    readonly: bool = False


@cache
def options() -> dict[str, OptionFact]:
    """All options by key, sorted."""
    facts = [_option(line) for line in _TABLE.strip().splitlines()]
    return {fact.key: fact for fact in sorted(facts, key=lambda fact: fact.key)}


def _option(line: str) -> OptionFact:
    key, kind, default, limits = line.split("|")
    readonly, kind = kind.startswith("!"), kind.lstrip("!")
    if kind == "b":
        return OptionFact(key, "b", default == "true", readonly=readonly)
    if kind == "s":
        return OptionFact(key, "s", default, readonly=readonly)
    if kind == "c":
        return OptionFact(key, "c", default, choices=tuple(limits.split()), readonly=readonly)
    low, _, high = limits.partition("..")
    return OptionFact(key, "l" if kind == "l" else "i", int(default), int(low), int(high), readonly=readonly)
