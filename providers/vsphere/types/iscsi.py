"""The software iSCSI adapter of a host: switched on, its name, and what it proves itself with (CHAP)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, ReadFailed, SecretRef, StepFailed, Unknown
from planner.ports import Call
from planner.schema import boolean, computed, secret, string
from providers.vsphere.tools import Tools, after, editable

ENABLED = "config.storageDevice.softwareInternetScsiEnabled"
HBAS = "config.storageDevice.hostBusAdapter"
MODES = {"prohibited": "chapProhibited", "discouraged": "chapDiscouraged", "preferred": "chapPreferred",
         "required": "chapRequired"}
"""How much CHAP is wanted → HostInternetScsiHbaChapAuthenticationType."""
_WORDS = {wire: word for word, wire in MODES.items()}
OPENS, CLOSES = ("host.scan_vmfs", "host.refresh_storage"), ("host.rescan", "host.scan_vmfs")
"""Around what changes which LUNs a host can reach (see `Operation.opens`): there and back, a rescan comes last."""
_OFF = Unknown("read when the adapter is enabled")
_NAMES = re.compile(r"(iqn\.\d{4}-\d{2}\.[^\s:]+(:\S+)?|eui\.[0-9A-Fa-f]{16}|naa\.[0-9A-Fa-f]{16,32})")


def software(adapters: Iterable[Any] | None) -> Any:
    """The software iSCSI adapter among HostBusAdapters; None where it is not enabled."""
    return next((each for each in adapters or () if getattr(each, "isSoftwareBased", False)), None)


def live_adapter(tools: Tools, call: Call) -> Any:
    """The adapter as the host itself has it now. Raises StepFailed where it is not enabled."""
    path = "storageDeviceInfo.hostBusAdapter"
    found = software(tools.read(tools.manager(call, "storageSystem"), path).get(path))
    if found is None:
        raise StepFailed("the software iSCSI adapter of this host is not enabled", str(call.address.root),
                         "declare `iscsi: {enabled: true}` on this host")
    return found


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """What an adapter that is off is called is not known: the host names it when it is enabled."""
    enabled = props.get(ENABLED)
    if enabled is None:
        return {}
    adapter = software(props.get(HBAS)) if enabled else None
    if adapter is None:
        return {"iscsi": {"enabled": bool(enabled), "iqn": _OFF, "chap": _OFF, "chap_name": _OFF, "mutual_chap": _OFF,
                          "mutual_name": _OFF, "adapter": ""}}
    auth = adapter.authenticationProperties
    return {"iscsi": {
        "enabled": True, "iqn": adapter.iScsiName, "chap": _WORDS.get(auth.chapAuthenticationType, "prohibited"),
        "chap_name": auth.chapName or "", "mutual_chap": auth.mutualChapAuthenticationType == "chapRequired",
        "mutual_name": auth.mutualChapName or "", "adapter": adapter.device}}


def needs_adapter(name: str, attributes: Attrs, host: Mapping[tuple[str, str], Attrs]) -> tuple[str, str] | None:
    """What targets and ports need of their host."""
    if host.get(("iscsi", "iscsi"), {}).get("enabled") is not True:
        return ("the software iSCSI adapter of this host is not declared as enabled",
                "declare `iscsi: {enabled: true}` on it")
    return None


def observe(tools: Tools, call: Call) -> Attrs:
    """The adapter as its own host has it: what a host makes up when it is enabled, vCenter may not show yet."""
    paths = ("storageDeviceInfo.softwareInternetScsiEnabled", "storageDeviceInfo.hostBusAdapter")
    live = tools.read(tools.manager(call, "storageSystem"), *paths)
    found = read({ENABLED: live.get(paths[0]), HBAS: live.get(paths[1])}, frozenset())
    if not found or not found["iscsi"]["adapter"]:
        raise ReadFailed("the software iSCSI adapter of this host is not in sight", str(call.address.root),
                         "see whether it is enabled; after a change it may need a reboot", retry=True)
    return found["iscsi"]


def is_iscsi_name(text: object) -> bool:
    return bool(_NAMES.fullmatch(str(text)))


def validate(attributes: Attrs) -> Iterable[str]:
    chap = attributes.get("chap")
    rest = [k for k in ("iqn", "chap", "chap_name", "chap_secret", "mutual_chap", "mutual_name", "mutual_secret")
            if attributes.get(k) not in (None, False, "prohibited")]
    if attributes.get("enabled") is False and rest:
        yield f"an adapter that is off has no {rest[0]}: set `enabled: true`, or remove {', '.join(rest)}"
    if "iqn" in attributes and not isinstance(attributes["iqn"], Unknown) and not is_iscsi_name(attributes["iqn"]):
        yield f"{attributes['iqn']!r} is no iSCSI name: write iqn.YYYY-MM.DOMAIN:NAME, or eui.…"
    if chap in (None, "prohibited"):
        if rest and chap == "prohibited" and any(k.startswith(("chap_", "mutual")) for k in rest):
            yield "`chap: prohibited` takes no names and secrets: remove them"
        elif any(k.startswith(("chap_", "mutual")) for k in rest):
            yield "names and secrets need `chap:` with discouraged, preferred or required"
    elif not attributes.get("chap_name") or attributes.get("chap_secret") is None:
        yield f"`chap: {chap}` needs `chap_name` and `chap_secret`"
    if attributes.get("mutual_chap"):
        if chap != "required":
            yield "`mutual_chap` needs `chap: required`"
        if not attributes.get("mutual_name") or attributes.get("mutual_secret") is None:
            yield "`mutual_chap` needs `mutual_name` and `mutual_secret`"
    elif attributes.get("mutual_name") or attributes.get("mutual_secret") is not None:
        yield "`mutual_name` and `mutual_secret` need `mutual_chap: true`"
    if attributes.get("mutual_secret") is not None and attributes.get("mutual_secret") == attributes.get("chap_secret"):
        yield "the secrets of the two directions must differ"


# --- operations -------------------------------------------------------------------------------------------


def enable(tools: Tools, call: Call) -> None:
    tools.manager(call, "storageSystem").UpdateSoftwareInternetScsiEnabled(enabled=True)


def disable(tools: Tools, call: Call) -> None:
    """Refused while it has targets or bound ports: what nobody declared would be lost with it."""
    adapter = live_adapter(tools, call)
    held = [f"target {each.address}:{each.port}" for each in adapter.configuredSendTarget or ()]
    held += [f"target {each.iScsiName}" for each in adapter.configuredStaticTarget or ()
             if each.discoveryMethod != "sendTargetMethod"]
    bound = tools.manager(call, "iscsiManager").QueryBoundVnics(iScsiHbaName=adapter.device)
    held += [f"port {each.vnicDevice}" for each in bound or ()]
    if held:
        raise StepFailed("this iSCSI adapter is in use", f"{adapter.device} has {', '.join(held[:10])}",
                         "declare them and then remove them from the file, or remove them in vCenter")
    tools.manager(call, "storageSystem").UpdateSoftwareInternetScsiEnabled(enabled=False)


def rename(tools: Tools, call: Call) -> None:
    adapter = live_adapter(tools, call)
    tools.manager(call, "storageSystem").UpdateInternetScsiName(
        iScsiHbaDevice=adapter.device, iScsiName=after(call)["iqn"])


def chap(tools: Tools, call: Call) -> None:
    """What is not declared of it stays; the secrets go along with every change, since the API does not show them."""
    adapter, wanted = live_adapter(tools, call), after(call)
    auth = editable(adapter.authenticationProperties)
    if "chap" in wanted:
        auth.chapAuthenticationType = MODES[str(wanted["chap"])]
        auth.chapAuthEnabled = wanted["chap"] != "prohibited"
    if "mutual_chap" in wanted:
        auth.mutualChapAuthenticationType = MODES["required" if wanted["mutual_chap"] else "prohibited"]
    if auth.chapAuthenticationType != MODES["required"]:  # the other direction needs it
        auth.mutualChapAuthenticationType = MODES["prohibited"]
    auth.chapName = str(wanted.get("chap_name", auth.chapName) or "") or None
    auth.mutualChapName = str(wanted.get("mutual_name", auth.mutualChapName) or "") or None
    auth.chapSecret = _secret(call, wanted, "chap_secret", auth.chapAuthenticationType)
    auth.mutualChapSecret = _secret(call, wanted, "mutual_secret", auth.mutualChapAuthenticationType)
    if auth.chapSecret is None:
        auth.chapName = None
    if auth.mutualChapSecret is None:
        auth.mutualChapName = None
    tools.manager(call, "storageSystem").UpdateInternetScsiAuthenticationProperties(
        iScsiHbaDevice=adapter.device, authenticationProperties=auth)


def _secret(call: Call, wanted: Attrs, name: str, mode: str | None) -> str | None:
    """The secret behind the reference; None where that direction is not used."""
    if mode in (None, MODES["prohibited"]):
        return None
    reference = wanted.get(name) or (call.before or {}).get(name)  # one that is not declared any more stays
    if not isinstance(reference, SecretRef):
        raise StepFailed("this CHAP secret is not known", f"{call.address}: {name}",
                         f"declare {name} as secret(…): a host shows nobody the one that it has")
    return call.secret(reference)


_CHAP = ("chap", "chap_name", "chap_secret", "mutual_chap", "mutual_name", "mutual_secret")
_STORAGE = ("Host.Config.Storage",)

ISCSI = ResourceType(
    name="iscsi",
    doc="The software iSCSI adapter of the host.",
    parent="host",
    singleton=True,
    setting=True,
    order=10,
    fields={
        "enabled": boolean("Whether the host has it. Switched off, it may stay in sight until a reboot.",
                           default=True, always=True),
        "iqn": string("Its name (iqn.…); the host makes one up where unset."),
        "chap": string("Whether it proves itself to targets.", enum=tuple(MODES)),
        "chap_name": string("The name that goes with `chap_secret`."),
        "chap_secret": secret("What it proves itself with."),
        "mutual_chap": boolean("Whether targets prove themselves, too."),
        "mutual_name": string("The name that goes with `mutual_secret`."),
        "mutual_secret": secret("What targets prove themselves with; another one than `chap_secret`."),
        "adapter": computed("Its device: vmhba64."),
    },
    paths=(ENABLED, HBAS),
    read=read,
    validate=validate,
    baseline={"iscsi": {"enabled": False, **{k: _OFF for k in ("iqn", *_CHAP) if not k.endswith("_secret")}}},
    operations=(
        Operation("iscsi.enable", "HostStorageSystem.UpdateSoftwareInternetScsiEnabled", "update",
                  "Enable the software iSCSI adapter.", enable, ("enabled",), inverse="iscsi.disable",
                  to={"enabled": True}, privileges=_STORAGE),
        Operation("iscsi.name", "HostStorageSystem.UpdateInternetScsiName", "update",
                  "Give the adapter its name.", rename, ("iqn",), inverse="iscsi.name", observe=observe,
                  disruptive="targets that let in the old name only let this host in no more", cuts="storage",
                  privileges=_STORAGE, opens=OPENS, closes=CLOSES),
        Operation("iscsi.chap", "HostStorageSystem.UpdateInternetScsiAuthenticationProperties", "update",
                  "Set what the adapter and its targets prove themselves with.", chap, _CHAP, inverse="iscsi.chap",
                  loses="a CHAP secret that fleet did not set: a host shows nobody the one that it has",
                  disruptive="targets that expect something else let this host in no more", cuts="storage",
                  carries=dict.fromkeys(_CHAP, _CHAP), observe=observe, privileges=_STORAGE, opens=OPENS,
                  closes=CLOSES),
        Operation("iscsi.disable", "HostStorageSystem.UpdateSoftwareInternetScsiEnabled", "update",
                  "Disable the software iSCSI adapter; refused while it has targets or bound ports.", disable,
                  ("enabled",), inverse="iscsi.enable", to={"enabled": False},
                  loses="its CHAP secrets, where the host does not keep them",
                  early=lambda before, now: now.get("enabled") is False, privileges=_STORAGE),
    ),
)
