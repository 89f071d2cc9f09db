"""A machine's own SDK door, and its hardware's side of a served twin. Runs inside of the machine, before the payload.

Usage: guest_door.py HOST:PORT USER:PASSWORD. The machine tells the twin that it was born; from then on it serves TLS
on port 443 with its own key and certificate (which never leave it), and hands what comes in to the door that the twin
plays for it. Where vCenter restarts it, it restarts.
"""

import base64
import http.client
import json
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, "/opt/midwife")

from providers.boot.platforms import Linux  # it reads the facts that the payload will announce

KEY, CERTIFICATE, READY = "/etc/midwife/host.key", "/etc/midwife/host.pem", "/var/run/door.ready"
TWIN = ssl._create_unverified_context()


class Twin:
    def __init__(self, address: str, credentials: str, mac: str) -> None:
        self.host, _, port = address.rpartition(":")
        self.port, self.path = int(port), f"/machines/{mac}"
        self.basic = "Basic " + base64.b64encode(credentials.encode()).decode()
        self.connection = http.client.HTTPSConnection(self.host, self.port, context=TWIN, timeout=20)

    def ask(self, method: str, path: str, body: "dict[str, str] | None" = None) -> "dict[str, object]":
        """Until it answers."""
        while True:
            try:
                self.connection.request(method, self.path + path, json.dumps(body) if body else None,
                                        {"Authorization": self.basic})
                reply = self.connection.getresponse()
                found = json.loads(reply.read())
                if reply.status == 200:
                    return dict(found)
                print(f"door: the twin says {reply.status}: {found}", flush=True)
            except (OSError, http.client.HTTPException) as error:
                print(f"door: the twin does not answer: {error!r}", flush=True)
            self.connection.close()
            time.sleep(1)


def message(stream: "ssl.SSLSocket", held: bytes) -> "tuple[bytes, bytes, bytes]":
    """(first line, the rest of one HTTP message, what came after it). Raises OSError at the end of the stream."""
    while b"\r\n\r\n" not in held:
        held += more(stream)
    head, _, held = held.partition(b"\r\n\r\n")
    first, _, fields = head.partition(b"\r\n")
    values = dict(line.lower().split(b":", 1) for line in fields.split(b"\r\n") if b":" in line)
    length = int(values.get(b"content-length", b"0"))
    while len(held) < length:
        held += more(stream)
    return first, b"\r\n" + fields + b"\r\n\r\n" + held[:length], held[length:]


def more(stream: "ssl.SSLSocket") -> bytes:
    piece = stream.recv(65536)
    if not piece:
        raise OSError("the end")
    return piece


def relay(plain: socket.socket, own: ssl.SSLContext, twin: Twin, address: str) -> None:
    """One client's connection, message by message: only the path is another one at the twin."""
    asked = answered = b""
    try:
        plain.settimeout(90)
        with own.wrap_socket(plain, server_side=True) as client, \
                socket.create_connection((twin.host, twin.port), 90) as raw, TWIN.wrap_socket(raw) as there:
            while True:
                first, rest, asked = message(client, asked)
                there.sendall(first.replace(b" /sdk", b" /hosts/" + address.encode() + b"/sdk", 1) + rest)
                first, rest, answered = message(there, answered)
                client.sendall(first + rest)
    except (OSError, ValueError):
        plain.close()


def serve(listener: socket.socket, own: ssl.SSLContext, twin: Twin, address: str) -> None:
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=relay, args=(plain, own, twin, address), daemon=True).start()


def main(address: str, credentials: str) -> None:
    facts = Linux().facts("", False)
    with open(CERTIFICATE) as file:
        certificate = file.read()
    version, _, build = facts["version"].removeprefix("VMware ESXi ").partition(" build-")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(CERTIFICATE, KEY)
    twin = Twin(address, credentials, facts["mac"] or "")
    listener = socket.create_server(("", 443), backlog=64)
    born = twin.ask("POST", "/born", {"uuid": facts["uuid"], "serial": facts["serial"], "ip": facts["address"],
                                      "certificate": certificate, "version": version, "build": build})
    threading.Thread(target=serve, args=(listener, own, twin, facts["address"]), daemon=True).start()
    open(READY, "w").close()
    print(f"door: open, boot {born['boot']}", flush=True)
    while twin.ask("GET", "") == born:
        time.sleep(1)
    print("door: vCenter restarts this machine", flush=True)
    with open("/proc/sysrq-trigger", "w") as trigger:
        trigger.write("b")


if __name__ == "__main__":
    main(*sys.argv[1:])
