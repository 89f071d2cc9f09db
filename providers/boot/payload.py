"""What a host runs once after boot: it announces its birth to the midwife. Standard library only.

This very file travels to the host inside `midwife.tgz`; the twin's machines import `deliver` from it, so that both
speak alike. Reading a host's identity (`main`) has not run on real ESXi yet.

The midwife's key is pinned (`midwife_spki`: SHA-256 of its SubjectPublicKeyInfo); names and dates are not checked,
because a machine that was just born may know neither.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

KEY_FILE = "/etc/midwife/birth.key"
CERTIFICATE_FILE = "/etc/vmware/ssl/rui.crt"
POST_SECONDS = 15.0
PAUSES = (1, 2, 4, 8, 15, 30)
MAX_CLOCK_ERROR = 24 * 3600


class Stopped(Exception):
    """The birth cannot be delivered; repeating it would not help."""


def message(facts: Mapping[str, str], nonce: str, key: bytes, clock: float) -> bytes:
    """The signed body. `facts`: mac, uuid, serial, address, version, certificate, thumbprint."""
    fields: dict[str, Any] = {**facts, "clock": int(clock), "nonce": nonce}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    fields["hmac"] = hmac.new(key, text.encode("ascii"), hashlib.sha256).hexdigest()
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def thumbprint(pem: str) -> str:
    """SHA-256 of a PEM certificate, as "AA:BB…"."""
    text = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2))


def spki_sha256(der: bytes) -> str:
    """SHA-256 of the SubjectPublicKeyInfo inside a DER certificate (RFC 5280, section 4.1)."""
    start, _ = _inside(der, 0)  # Certificate
    start, end = _inside(der, start)  # TBSCertificate
    fields = []
    while start < end:
        _, after = _inside(der, start)
        fields.append(der[start:after])
        start = after
    if fields and fields[0][0] == 0xA0:  # the explicit version; v1 certificates have none
        fields = fields[1:]
    return hashlib.sha256(fields[5]).hexdigest()  # serial, algorithm, issuer, validity, subject, key


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at this offset begins and ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start:start + size], "big"), start + size
    return start, start + length


def post(url: str, spki: str, body: bytes, timeout: float = POST_SECONDS) -> tuple[int, dict[str, Any]]:
    """One POST to the pinned midwife. Raises Stopped on a wrong key, OSError or HTTPException on silence."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin below decides instead
    link = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=timeout, context=context)
    try:
        link.connect()
        der = link.sock.getpeercert(binary_form=True) if isinstance(link.sock, ssl.SSLSocket) else None
        if der is None or not hmac.compare_digest(spki_sha256(der), spki):
            raise Stopped("the midwife's key is not the one that the boot configuration names")
        link.request("POST", "/v1/births", body, {"Content-Type": "application/json", "Connection": "close"})
        reply = link.getresponse()
        text = reply.read(65536)
    finally:
        link.close()
    try:
        data = json.loads(text)
    except ValueError:
        data = {}
    return reply.status, data if isinstance(data, dict) else {}


def deliver(url: str, spki: str, compose: Callable[[float], bytes], clock: Callable[[], float],
            set_clock: Callable[[float], None], pause: Callable[[float], None], tries: int = 20) -> int:
    """Post until it is accepted; returns 201 or 200. Raises Stopped with the reason.

    On 5xx or silence the same bytes are repeated; on 428 the clock is set and a new body is posted once.
    """
    body, corrected, last = compose(clock()), False, ""
    for attempt in range(tries):
        if attempt:
            pause(PAUSES[min(attempt - 1, len(PAUSES) - 1)])
        try:
            status, reply = post(url, spki, body)
        except (OSError, http.client.HTTPException) as error:
            last = f"no answer ({error.__class__.__name__})"
            continue
        if status in (200, 201):
            return status
        if status == 428 and not corrected:
            body, corrected = compose(_corrected(reply, clock, set_clock)), True
        elif status < 500:
            raise Stopped(f"the midwife refused the birth: {status} {reply.get('error', '')}".rstrip())
        else:
            last = f"the midwife answered {status}"
    raise Stopped(f"the midwife took no birth in {tries} attempts; last: {last or 'clock corrected'}")


def _corrected(reply: Mapping[str, Any], clock: Callable[[], float], set_clock: Callable[[float], None]) -> float:
    right = reply.get("clock")
    if not isinstance(right, int):
        raise Stopped("the midwife wants another clock and names none")
    set_clock(float(right))
    return clock()


# --- on a host ----------------------------------------------------------------------------------------------


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S603


def boot_options(text: str) -> dict[str, str]:
    """`name=value` words of the kernel command line."""
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def identity(run: Callable[..., str], certificate: str) -> dict[str, str]:
    """What the birth says about this host: its hardware UUID, never /system/uuid, which copied state duplicates.

    `localcli` works before hostd does.
    """
    def ask(*words: str) -> Any:
        return json.loads(run("localcli", "--formatter", "json", *words))

    platform = ask("hardware", "platform", "get")
    options = boot_options(run("/bin/bootOption", "-o"))
    nics = ask("network", "nic", "list")
    booted = options.get("BOOTIF", "")[3:].replace("-", ":").lower()
    addresses = [a for a in ask("network", "ip", "interface", "ipv4", "get") if a.get("Name") == "vmk0"]
    if not addresses or not addresses[0].get("IPv4 Address"):
        raise OSError("vmk0 has no address yet")
    return {
        "mac": booted or str(nics[0]["MAC Address"]).lower(),
        "uuid": run("esxcfg-info", "-u").strip().lower(),
        "serial": str(platform.get("Serial Number", "")).strip() or "unknown",
        "address": str(addresses[0]["IPv4 Address"]),
        "version": run("vmware", "-v").strip(),
        "certificate": certificate,
        "thumbprint": thumbprint(certificate),
    }


def main() -> int:
    options = boot_options(_run("/bin/bootOption", "-o"))
    if "midwife" not in options or "birth" not in options:
        return 0
    with open(KEY_FILE, encoding="ascii") as file:
        key = bytes.fromhex(file.read().strip())
    facts: dict[str, str] = {}
    for _ in range(60):  # link, lease and certificate come late
        try:
            with open(CERTIFICATE_FILE, encoding="ascii") as file:
                facts = identity(_run, file.read())
            break
        except (OSError, ValueError, KeyError, IndexError, subprocess.SubprocessError):
            time.sleep(5)
    if not facts:
        print("midwife: this host's identity cannot be read", file=sys.stderr)
        return 1
    _firewall("true")
    try:
        deliver(options["midwife"], options.get("midwife_spki", ""),
                lambda clock: message(facts, options["birth"], key, clock), time.time, _set_clock, time.sleep)
    except (Stopped, socket.gaierror) as error:
        print(f"midwife: {error}", file=sys.stderr)
        return 1
    finally:
        _firewall("false")
    return 0


def _firewall(enabled: str) -> None:
    """Only the rule set that lets a host ask outwards on 80 and 443, never the whole firewall."""
    _run("localcli", "network", "firewall", "ruleset", "set", "-e", enabled, "-r", "httpClient")


def _set_clock(seconds: float) -> None:
    if abs(seconds - time.time()) > MAX_CLOCK_ERROR:
        print("midwife: the clock was more than a day off", file=sys.stderr)
    time.clock_settime(time.CLOCK_REALTIME, seconds)


if __name__ == "__main__":
    sys.exit(main())
