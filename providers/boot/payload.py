"""What a host runs once after boot: it announces its birth to the midwife. Standard library of Python 3.5 only.

This very file and `platforms` travel to the host inside `midwife.tgz`; the twin's machines import `deliver` from it,
so that both speak alike. ESXi 6.5 and 6.7 bring Python 3.5, 7.0 3.8, 8.0 3.11; what is older has no usable one: there,
births are agentless. Files are looked up below the folder that `opt/midwife` lies in (`/` on a booted host).

The midwife's key is pinned (`midwife_spki`: SHA-256 of its SubjectPublicKeyInfo); names and dates are not checked,
because a machine that was just born may know neither. Neither nonce nor key is ever printed.
"""

import fcntl
import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import ssl
import sys
import time
from urllib.parse import urlsplit

from providers.boot.platforms import RULESET, UNREADABLE, Esxi, Linux, NotReady, read, read_or, what
from providers.boot.platforms import boot_options as boot_options

MYPY = False
if MYPY:  # annotations are texts: nothing of this is there on a host
    from collections.abc import Callable, Mapping
    from typing import Any, TextIO

HERE = "/opt/midwife/providers/boot/payload.py"
KEY_FILE, BORN_FILE = "/etc/midwife/birth.key", "/var/run/midwife.born"
OPTIONS_FILE = "/etc/midwife/options"
"""Of an installed system: what its kernel command line does not say."""
LOCK_FILE = "/var/run/midwife.lock"
POST_SECONDS = 15.0
PAUSES = (1, 2, 4, 8, 15, 30)
TRIES = 150  # of one boot: somewhat longer than a nonce lives (an hour)
READY_SECONDS, READY_PAUSE = 1800.0, 3.0
FRESH_SECONDS = 30.0
MAX_CLOCK_ERROR = 24 * 3600


class Stopped(Exception):
    """The birth cannot be delivered; repeating it would not help."""


# --- what both sides of the twin share ------------------------------------------------------------------------


def message(facts: "Mapping[str, str]", nonce: str, key: bytes, clock: float) -> bytes:
    """The signed body. `facts`: mac, uuid, serial, address, version, certificate, thumbprint."""
    fields = dict(facts, clock=int(clock), nonce=nonce)  # type: dict[str, Any]
    fields["hmac"] = hmac.new(key, _compact(fields), hashlib.sha256).hexdigest()
    return _compact(fields)


def _compact(fields: "Mapping[str, Any]") -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def thumbprint(pem: str) -> str:
    """SHA-256 of a PEM certificate, as "AA:BB…". Raises ValueError."""
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


def _inside(der: bytes, at: int) -> "tuple[int, int]":
    """Where the content of the element at this offset begins and ends."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start:start + size], "big"), start + size
    return start, start + length


def post(url: str, spki: str, body: bytes, timeout: float = POST_SECONDS) -> "tuple[int, dict[str, Any]]":
    """One POST to the pinned midwife. Raises Stopped on a wrong key, OSError or HTTPException on silence."""
    parts = urlsplit(url)
    kind = getattr(ssl, "PROTOCOL_TLS_CLIENT", None)  # since 3.6
    context = ssl.SSLContext(kind if kind is not None else ssl.PROTOCOL_SSLv23)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin below decides instead
    link = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=timeout, context=context)
    try:
        link.connect()
        der = link.sock.getpeercert(binary_form=True) if isinstance(link.sock, ssl.SSLSocket) else None
        if der is None or not hmac.compare_digest(spki_sha256(der), spki.lower()):
            raise Stopped("the midwife's key is not the one that the boot configuration names")
        link.request("POST", parts.path.rstrip("/") + "/v1/births", body,
                     {"Content-Type": "application/json", "Connection": "close"})
        reply = link.getresponse()
        text = reply.read(65536)
    finally:
        link.close()
    try:
        data = json.loads(text.decode("utf-8"))
    except ValueError:
        data = {}
    return reply.status, data if isinstance(data, dict) else {}


def deliver(url: str, spki: str, compose: "Callable[[float], bytes]", clock: "Callable[[], float]",
            set_clock: "Callable[[float], None]", pause: "Callable[[float], None]", tries: int = 20,
            send: "Callable[[str, str, bytes], tuple[int, dict[str, Any]]] | None" = None) -> int:
    """Post until it is accepted; returns 201 or 200. Raises Stopped with the reason.

    On 5xx or silence the same bytes are repeated, at most `tries` times; on 428 the clock is set and a new body is
    posted once more (and again only where that body had become old while the midwife was silent).
    """
    body, made, corrected, last, attempt = compose(clock()), time.monotonic(), False, "", 0
    while attempt < tries:
        fresh = time.monotonic() - made < FRESH_SECONDS
        try:
            status, reply = (send or post)(url, spki, body)
        except (OSError, http.client.HTTPException) as error:
            status, reply, last = 0, {}, "no answer ({})".format(error.__class__.__name__)
        if status in (200, 201):
            return status
        if status == 428 and not (corrected and fresh):
            body, made, corrected = compose(_corrected(reply, clock, set_clock)), time.monotonic(), True
            continue
        if 0 < status < 500:
            raise Stopped("the midwife refused the birth: {} {}".format(status, reply.get("error", "")).rstrip())
        last = "the midwife answered {}".format(status) if status else last
        attempt += 1
        if attempt < tries:
            pause(PAUSES[min(attempt, len(PAUSES)) - 1])
    raise Stopped("the midwife took no birth in {} attempts; last: {}".format(tries, last))


def _corrected(reply: "Mapping[str, Any]", clock: "Callable[[], float]",
               set_clock: "Callable[[float], None]") -> float:
    right = reply.get("clock")
    if not isinstance(right, int):
        raise Stopped("the midwife wants another clock and names none")
    set_clock(float(right))
    return clock()


# --- on a host --------------------------------------------------------------------------------------------------------


class Birth:
    """One run of this program on a host."""

    def __init__(self, host: "Esxi | Linux", log: "Callable[[str], None]") -> None:
        self.host, self.log = host, log
        self.opened = False

    def run(self) -> int:
        """0: delivered, or nothing to do; 1: stopped, for a reason that is in the log."""
        options = dict(self.host.options(), **boot_options(read_or(self.host.root + OPTIONS_FILE, "")))
        if "midwife" not in options or "birth" not in options:
            self.log("this boot names no midwife: nothing to announce")
            return 0
        if "ks" in options:
            self.log("this boot installs: what it installs announces itself")
            return 0
        if os.path.exists(self.host.root + BORN_FILE):
            self.log("this boot was announced already")
            return 0
        try:
            key = bytes.fromhex(read(self.host.root + KEY_FILE).strip())
        except (OSError, ValueError):
            self.log("there is no usable key in {}: was birth.tgz loaded?".format(KEY_FILE))
            return 1
        try:
            facts = self.wait(options)
            self.open()
            status = deliver(options["midwife"], options.get("midwife_spki", ""),
                             lambda clock: message(facts, options["birth"], key, clock), time.time, self.set_clock,
                             self.pause, TRIES)
            self.log("announced: {}".format(status))
            self.done()
            return 0
        except (Stopped, NotReady) as error:
            self.log(str(error))
            return 1
        finally:
            self.close()

    def wait(self, options: "Mapping[str, str]") -> "dict[str, str]":
        """Link, lease and certificate come late. Raises NotReady after half an hour."""
        booted = options.get("BOOTIF", "")[3:].replace("-", ":").lower()
        v6 = ":" in (urlsplit(options["midwife"]).hostname or "")
        end, told = time.monotonic() + READY_SECONDS, ""
        while True:
            try:
                facts = self.host.facts(booted, v6)
                pem = read(self.host.root + self.host.certificate)
                start, stop = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
                if start not in pem or stop not in pem:
                    raise NotReady("the certificate is not complete yet")
                pem = pem[pem.index(start):pem.index(stop) + len(stop)] + "\n"
                return dict(facts, certificate=pem, thumbprint=thumbprint(pem))
            except NotReady as error:
                reason = str(error)
            except UNREADABLE as error:
                reason = "identity cannot be read yet ({})".format(what(error))
            if reason != told:
                self.log("waiting: " + reason)
                told = reason
            if time.monotonic() >= end:
                raise NotReady("given up after {:.0f} s: {}".format(READY_SECONDS, reason))
            time.sleep(READY_PAUSE)

    def pause(self, seconds: float) -> None:
        self.log("no birth taken yet; again in about {} s".format(seconds))
        time.sleep(seconds * (0.75 + random.random() / 2))  # noqa: S311  # hosts of one rack must not march in step
        if self.opened:
            self.open()  # hostd, when it comes up, sets the firewall as it was

    def set_clock(self, seconds: float) -> None:
        off = seconds - time.time()
        self.log("the clock is {:+.0f} s off{}: set".format(-off, ", over a day" if abs(off) > MAX_CLOCK_ERROR else ""))
        try:
            self.host.set_clock(seconds)
        except UNREADABLE as error:
            raise Stopped("the clock cannot be set ({})".format(what(error))) from error

    def open(self) -> None:
        """Open the rule set where it is closed; what was open before stays open."""
        try:
            if self.host.is_open():
                return
        except UNREADABLE as error:
            self.log("rule set {}: taken as closed ({})".format(RULESET, what(error)))
        self.opened = True  # before the call: it may take effect and fail to say so
        try:
            self.host.open(True)
        except UNREADABLE as error:
            self.log("rule set {} cannot be opened ({}); trying without".format(RULESET, what(error)))

    def close(self) -> None:
        """Close again what `open` opened; a signal must not come between."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for attempt in range(3 if self.opened else 0):
            try:
                self.host.open(False)
                self.opened = False
                return
            except UNREADABLE as error:
                self.log("rule set {} cannot be closed ({})".format(RULESET, what(error)))
                time.sleep(1 + attempt)

    def done(self) -> None:
        """The key has served its purpose; a second start of this boot has nothing to do."""
        root = self.host.root
        try:
            with open(root + BORN_FILE, "w") as file:
                file.write("announced\n")
            os.remove(root + KEY_FILE)
        except OSError as error:
            self.log("{}: {}".format(KEY_FILE, what(error)))


def _log(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, file=sys.stderr, flush=True)


def _stop(number: int, _frame: "Any") -> None:
    raise Stopped("ended by signal {}".format(number))


def _locked(root: str) -> "TextIO | None":
    """Held until this process ends; None where another one announces this boot now."""
    file = open(root + LOCK_FILE, "a")  # noqa: SIM115
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def main() -> int:
    own = os.path.abspath(__file__)
    root = own[:-len(HERE)] if own.endswith(HERE) else ""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        os.makedirs(root + os.path.dirname(LOCK_FILE), exist_ok=True)
        lock = _locked(root)
        if lock is None:
            _log("another process announces this boot")
            return 0
        return Birth(Esxi(root) if _is_esxi() else Linux(root), _log).run()
    except Exception as error:  # a log line in place of a traceback, which could show what must not be shown
        _log("stopped: {}".format(error if isinstance(error, Stopped) else what(error)))
        return 1


def _is_esxi() -> bool:
    return any(os.access(os.path.join(folder, "bootOption"), os.X_OK) for folder in os.get_exec_path())


if __name__ == "__main__":
    sys.exit(main())
