"""A host's TLS certificate, as vCenter's CA issues it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Unknown
from planner.ports import Call
from planner.schema import Field, string
from providers.vsphere.tools import HostView, Tools

INFO = "certificate.info"
_OUTSIDE = ("a certificate of an outside CA (`pem`) is not supported: its request has to be generated on the host, "
            "signed elsewhere and installed, which is no step that can be planned or undone. Let vCenter be a "
            "subordinate of that CA, or install it by hand")


def ask(view: HostView, _names: frozenset[str], _props: Mapping[str, Any]) -> Mapping[str, Any]:
    """HostCertificateManager.certificateInfo; needs the privilege Certificate.Manage."""
    return {INFO: view.read(view.manager("certificateManager"), "certificateInfo").get("certificateInfo")}


def read(props: Mapping[str, Any], _wanted: frozenset[str]) -> dict[str, Attrs]:
    found = props.get(INFO)
    return {} if found is None else {"certificate": {"issuer": str(found.issuer or ""), "status": str(found.status)}}


def refresh(tools: Tools, call: Call) -> None:
    tools.wait(tools.service("certificateManager").CertMgrRefreshCertificates_Task(host=[tools.host(call)]), call)


def validate(attributes: Attrs) -> Iterable[str]:
    if attributes.get("pem"):
        yield _OUTSIDE
    elif not attributes.get("issuer") and not attributes.get("status"):
        yield "say by `issuer` or `status` what the certificate has to be like"


CERTIFICATE = ResourceType(
    name="certificate",
    doc="The host's TLS certificate: where it is not as declared, vCenter's CA issues a new one.",
    parent="host",
    singleton=True,
    setting=True,
    order=6,  # after DNS and time
    fields={
        "issuer": string("Distinguished name of its issuer, as vCenter shows it (`fleet plan` does): that of vCenter's "
                         "CA."),
        "status": string("good: vCenter does not call it expired, expiring, or about to.", enum=("good",)),
        "pem": Field("string", "A certificate of an outside CA (not supported).", observed=False),
    },
    ask=ask,
    read=read,
    validate=validate,
    baseline={"certificate": {"issuer": Unknown("read after birth"), "status": Unknown("read after birth")}},
    operations=(
        Operation("certificate.refresh", "CertificateManager.CertMgrRefreshCertificates_Task", "update",
                  "Have vCenter's CA issue a new certificate.", refresh, ("issuer", "status"),
                  irreversible="the certificate before, and its key, are gone", privileges=("Certificate.Manage",)),
    ),
)
