"""The payload: signature, pin, retries, and reading a host's identity."""

from __future__ import annotations

import ast
import hashlib
import json
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.boot import modules, payload
from providers.boot.platforms import Esxi, NotReady
from providers.midwife.message import authentic, certificate_thumbprint, parse
from tests.unit.boot.kit import certificate

FACTS = {"mac": "52:54:00:00:00:11",
         "uuid": "00000000-0000-4000-8000-525400000011", "serial": "S", "address": "10.0.0.9",
         "version": "VMware ESXi 8.0.3 build-24022510", "certificate": "PEM", "thumbprint": "AA"}


def test_both_sides_sign_alike() -> None:
    body = payload.message({**FACTS, "serial": "sé☃"}, "nonce", b"k" * 32, 1700000000.9)
    message = parse(body)
    assert authentic(message, b"k" * 32)
    assert not authentic(message, b"K" * 32)
    assert (message.version, message.build, message.clock) == ("8.0.3", "24022510", 1700000000)


def test_pin_and_thumbprint_agree_with_cryptography() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = certificate("x" * 60)
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert payload.spki_sha256(ssl.PEM_cert_to_DER_cert(pem)) == hashlib.sha256(spki).hexdigest()
    assert payload.thumbprint(pem) == certificate_thumbprint(pem)


class Midwife:
    """Answers from a script: a status, a (status, reply), or an exception."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.bodies, self.pauses = list(answers), [], []  # type: ignore[var-annotated]
        self.time = 1000.0

    def post(self, _url: str, _spki: str, body: bytes) -> tuple[int, dict[str, Any]]:
        self.bodies.append(body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, tuple) else (answer, {})

    def deliver(self, monkeypatch: pytest.MonkeyPatch, tries: int = 5) -> int:
        monkeypatch.setattr(payload, "post", self.post)

        def set_clock(seconds: float) -> None:
            self.time = seconds

        compose: Callable[[float], bytes] = lambda at: json.dumps(at).encode()  # noqa: E731
        return payload.deliver("https://m", "pin", compose, lambda: self.time, set_clock, self.pauses.append, tries)


def test_silence_and_5xx_repeat_the_same_bytes_with_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    midwife = Midwife(ConnectionRefusedError(), TimeoutError(), 503, 200)
    assert midwife.deliver(monkeypatch) == 200
    assert midwife.bodies == [b"1000.0"] * 4
    assert midwife.pauses == [1, 2, 4]


def test_428_sets_the_clock_and_posts_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    midwife = Midwife((428, {"clock": 5000}), 503, 201)
    assert midwife.deliver(monkeypatch) == 201
    assert midwife.bodies == [b"1000.0", b"5000.0", b"5000.0"]


@pytest.mark.parametrize(("answers", "reason"), [
    ([401], "401"), ([409], "409"), ([(400, {"error": "bad"})], "400 bad"), ([(428, {"clock": 1}), 428], "428"),
    ([428], "names none"), ([500] * 5, "no birth in 5 attempts; last: the midwife answered 500"),
    ([OSError()] * 5, "no answer"),
])
def test_anything_else_stops_with_a_reason(monkeypatch: pytest.MonkeyPatch, answers: list[Any], reason: str) -> None:
    with pytest.raises(payload.Stopped, match=reason):
        Midwife(*answers).deliver(monkeypatch)


def esxi(**changes: Any) -> Esxi:
    """An ESXi host whose tools answer this; None: the tool is not there."""
    answers: dict[str, Any] = {
        "localcli hardware platform get": {"Serial Number": " VMW-1 "},
        "localcli network nic list": [{"MAC Address": "52:54:00:00:00:10", "Link": "Down"},
                                      {"MAC Address": "52:54:00:00:00:11", "Link": "Up"}],
        "localcli network ip interface list": [{"Name": "vmk0", "MAC Address": "52:54:00:00:00:11"}],
        "localcli network ip interface ipv4 get": [{"Name": "vmk1", "IPv4 Address": "10.0.1.9"},
                                                   {"Name": "vmk0", "IPv4 Address": "10.0.0.9"}],
        "localcli network ip interface ipv6 address list": [{"Interface": "vmk0", "Address": "fe80::1"},
                                                            {"Interface": "vmk0", "Address": "2001:db8::9"}],
        "bootOption -o": "midwife=https://m birth=n BOOTIF=01-52-54-00-00-00-AA",
        "esxcfg-info -u": "564D0000-0000-0000-0000-000000000001\n",
        "vmware -v": "VMware ESXi 8.0.3 build-24022510\n",
    }
    answers |= {name.replace("_", " "): answer for name, answer in changes.items()}

    def run(*words: str) -> str:
        answer = answers.get(" ".join(word for word in words if word != "--formatter=json"))
        if answer is None:
            raise FileNotFoundError(2, "no such file", words[0])
        return answer if isinstance(answer, str) else json.dumps(answer)

    return Esxi("", run)


def test_identity_of_a_host() -> None:
    assert esxi().options()["BOOTIF"] == "01-52-54-00-00-00-AA"
    assert esxi().facts("52:54:00:00:00:aa", False) == {
        "mac": "52:54:00:00:00:aa", "uuid": "564d0000-0000-0000-0000-000000000001", "serial": "VMW-1",
        "address": "10.0.0.9", "version": "VMware ESXi 8.0.3 build-24022510",
    }
    assert esxi().facts("", True)["address"] == "2001:db8::9"


@pytest.mark.parametrize(("interfaces", "mac"), [
    ([{"Name": "vmk0", "MAC Address": "52:54:00:00:00:10"}], "52:54:00:00:00:10"),
    ([{"Name": "vmk0", "MAC Address": "00:50:56:00:00:01"}], "52:54:00:00:00:11"),  # vmk0's own: the NIC with a link
    ([], "52:54:00:00:00:11"),
])
def test_the_mac_where_the_boot_loader_names_none(interfaces: list[Any], mac: str) -> None:
    host = esxi(**{"localcli network ip interface list": interfaces})
    assert host.facts("", False)["mac"] == mac


@pytest.mark.parametrize("address", ["0.0.0.0", "169.254.7.7", ""])
def test_no_lease_is_no_address(address: str) -> None:
    rows = [{"Name": "vmk0", "IPv4 Address": address}]
    with pytest.raises(NotReady, match="no address"):
        esxi(**{"localcli network ip interface ipv4 get": rows}).facts("", False)


def test_other_tools_where_the_first_fails() -> None:
    host = esxi(**{"bootOption -o": None, "bootOption -roC": "midwife=https://m birth=n",
                   "localcli hardware platform get": None, "esxcli hardware platform get": {"Serial Number": ""}})
    assert host.options() == {"midwife": "https://m", "birth": "n"}
    assert host.facts("", False)["serial"] == "unknown"


# --- what runs on hosts is Python 3.5 ---------------------------------------------------------------------------

CARRIED = [Path(payload.__file__).with_name(name) for name in modules.CARRIED]
NEWER = {  # modules and attributes that came after 3.5, as far as these files could want them
    "contextvars", "dataclasses", "graphlib", "importlib.resources", "secrets", "tomllib", "zoneinfo", "asyncio.run",
    "subprocess.run(capture_output)", "subprocess.run(text)", "ssl.PROTOCOL_TLS_CLIENT", "ssl.TLSVersion",
    "time.time_ns", "time.monotonic_ns", "math.prod", "shlex.join", "random.choices", "random.randbytes",
    "http.HTTPMethod", "os.pidfd_open", "os.waitstatus_to_exitcode", "str.removeprefix", "str.removesuffix",
    "datetime.UTC", "datetime.fromisoformat", "typing.Protocol", "typing.Final", "typing.Literal", "hmac.digest",
    "signal.raise_signal", "signal.strsignal", "functools.cache", "functools.cached_property",
}


def used(tree: ast.AST) -> set[str]:
    """Modules, `name.attribute` pairs and keyword arguments of calls."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else "?"
            found |= {f"{owner}.{node.attr}", f"str.{node.attr}"}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else "?"
            found |= {f"{owner}.{node.func.attr}({word.arg})" for word in node.keywords}
    return found


def loaded_on_hosts(source: str) -> ast.Module:
    """Parsed by the grammar of 3.5, without what only a type checker reads."""
    tree = ast.parse(source, feature_version=(3, 5))
    tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "MYPY")]
    return tree


@pytest.mark.parametrize("path", CARRIED, ids=lambda path: path.name)
def test_it_is_python_3_5(path: Path) -> None:
    tree = loaded_on_hosts(path.read_text())
    assert not used(tree) & NEWER
    for node in ast.walk(tree):  # the parser lets these pass for every version
        assert not isinstance(node, (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.AsyncFunctionDef))
        if isinstance(node, ast.arg | ast.FunctionDef):
            note = node.annotation if isinstance(node, ast.arg) else node.returns
            assert note is None or isinstance(note, ast.Constant | ast.Name)  # `dict[str, str]` would be evaluated
    imported = {name.split(".")[0] for name in used(tree) & set(sys.stdlib_module_names)}
    assert imported <= {"fcntl", "hashlib", "hmac", "json", "os", "platform", "random", "signal", "ssl", "subprocess",
                        "sys", "time"}


@pytest.mark.parametrize("source", [
    "import subprocess\nsubprocess.run(['x'], capture_output=True)", "import ssl\nssl.PROTOCOL_TLS_CLIENT",
    "from dataclasses import dataclass", "'x'.removeprefix('y')"])
def test_the_check_finds_what_is_newer(source: str) -> None:
    assert used(loaded_on_hosts(source)) & NEWER


@pytest.mark.parametrize("source", ["def f(a, /): pass", "with (open('x') as f, open('y') as g): pass", "x: int = 1"])
def test_the_grammar_finds_what_is_newer(source: str) -> None:
    with pytest.raises(SyntaxError):
        loaded_on_hosts(source)
