"""Images by HTTP: whole, checked, resumed, and nothing told of what the URL keeps secret. Against a real server."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from planner.model import FleetError, Image
from providers.boot.adding import add_image
from providers.boot.fetch import Limits, address, fetched
from providers.boot.images import Images
from providers.boot.pieces import ImageProblem
from providers.boot.store import Store
from tests.support.isos import contents, modern

DATA = contents(("x",), 1, 400_000)["x"]
SUM = hashlib.sha256(DATA).hexdigest()
Answer = Callable[["Handler"], None]
QUICK = Limits(timeout=1.0, pause=0.0, attempts=3, size=1 << 20)


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, data: bytes, status: int = 200, length: int | None = -1, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(len(data) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


class Scripted(ThreadingHTTPServer):
    """Answers the n-th request by the n-th function of `script`, later ones by the last."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.script: list[Answer] = []

    def url(self, rest: str = "/esxi.iso", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.server_address[1]}{rest}"


@pytest.fixture
def server() -> Iterator[Scripted]:
    made = Scripted()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def get(server: Scripted, tmp: Path, *script: Answer, url: str = "", sha256: str = "", limits: Limits = QUICK) -> bytes:
    if script:
        server.script = list(script)
    with fetched(address(url or server.url()), tmp / "downloads", lambda _: None, sha256=sha256, limits=limits,
                 sleep=lambda _: None) as (path, digest):
        data = path.read_bytes()
    assert digest == hashlib.sha256(data).hexdigest()
    assert list((tmp / "downloads").iterdir()) == []
    return data


def problem(server: Scripted, tmp: Path, *script: Answer, url: str = "", sha256: str = "",
            limits: Limits = QUICK) -> str:
    with pytest.raises(ImageProblem) as caught:
        get(server, tmp, *script, url=url, sha256=sha256, limits=limits)
    return f"{caught.value.summary}: {caught.value.detail}"


def whole(handler: Handler) -> None:
    handler.reply(DATA, ETag='"one"')


def cut(handler: Handler) -> None:
    handler.reply(DATA[:150_000], length=len(DATA), ETag='"one"')


def status(code: int) -> Answer:
    return lambda handler: handler.reply(b"no", code)


def rest(handler: Handler) -> None:
    """Range requests as a good server answers them."""
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    if handler.headers["If-Range"] == '"one"':
        handler.reply(DATA[start:], 206, Content_Range=f"bytes {start}-{len(DATA) - 1}/{len(DATA)}", ETag='"one"')
    else:
        whole(handler)


def test_a_file_is_fetched_and_its_checksum_told(server: Scripted, tmp_path: Path) -> None:
    assert get(server, tmp_path, whole, sha256=SUM) == DATA
    assert server.asked[0][1]["accept-encoding"] == "identity"


def test_another_checksum_is_refused_and_nothing_kept(server: Scripted, tmp_path: Path) -> None:
    assert f"declared {'0' * 64}, found {SUM}" in problem(server, tmp_path, whole, sha256="0" * 64)
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_connection_that_ends_is_resumed(server: Scripted, tmp_path: Path) -> None:
    assert get(server, tmp_path, cut, rest) == DATA
    asked = [headers.get("range") for _, headers in server.asked]
    assert asked == [None, "bytes=150000-"]


def test_what_a_failed_fetch_got_is_used_by_the_next(server: Scripted, tmp_path: Path) -> None:
    assert "after 150000 of" in problem(server, tmp_path, cut, status(503), limits=Limits(attempts=1))
    server.asked.clear()
    assert get(server, tmp_path, rest) == DATA
    assert server.asked[0][1]["range"] == "bytes=150000-"


def other(handler: Handler) -> None:
    handler.reply(DATA[::-1], ETag='"two"')


@pytest.mark.parametrize("second", [
    whole,  # no ranges
    lambda h: h.reply(DATA[7:], 206, Content_Range=f"bytes 7-{len(DATA) - 1}/{len(DATA)}"),  # another part
    status(416),
])
def test_where_it_cannot_be_resumed_it_begins_again(second: Answer, server: Scripted, tmp_path: Path) -> None:
    assert get(server, tmp_path, cut, second, whole) == DATA


def test_a_file_that_has_changed_is_fetched_anew(server: Scripted, tmp_path: Path) -> None:
    assert get(server, tmp_path, cut, other) == DATA[::-1]
    weak: Answer = lambda h: h.reply(DATA[:9], length=len(DATA), ETag='W/"one"')  # noqa: E731
    assert get(server, tmp_path, weak, whole) == DATA
    assert "range" not in server.asked[-1][1], "a weak validator does not tell parts apart"


@pytest.mark.parametrize(("answer", "expected", "requests"), [
    (status(404), "the server answers 404", 1),
    (status(401), "the server answers 401", 1),
    (status(503), "the server answers 503", 3),
    (lambda h: h.reply(b"", length=None), "does not tell its length", 1),
    (lambda h: h.reply(b"x", Content_Encoding="gzip"), "the server packs it (gzip)", 1),
    (lambda h: h.reply(b"x", length=(1 << 20) + 1), "too large", 1),
    (lambda h: h.reply(b"x", length=10), "the connection ended after 1 of 10 bytes", 3),
    (lambda h: h.wfile.write(b"junk\r\n\r\n"), "BadStatusLine", 3),
    (lambda h: h.close_connection, "RemoteDisconnected", 3),
    (lambda h: h.reply(b"", 302, Location="file:///etc/passwd"), "the server answers 302", 1),
    (lambda h: h.reply(b"", 302, Location="ftp://elsewhere/x"), "it redirects from http to ftp", 1),
])
def test_answers_that_are_refused(answer: Answer, expected: str, requests: int, server: Scripted,
                                  tmp_path: Path) -> None:
    assert expected in problem(server, tmp_path, answer)
    assert len(server.asked) == requests


def test_chunks_without_a_length(server: Scripted, tmp_path: Path) -> None:
    def chunked(end: bytes) -> Answer:
        def answer(handler: Handler) -> None:
            handler.protocol_version = "HTTP/1.1"
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.wfile.write(b"3\r\nabc\r\n" + end)
            handler.close_connection = True
        return answer

    assert get(server, tmp_path, chunked(b"0\r\n\r\n")) == b"abc"
    assert "ended too early" in problem(server, tmp_path, chunked(b""))
    assert "too large" in problem(server, tmp_path, chunked(b"0\r\n\r\n"), limits=Limits(size=2))


def test_a_server_that_falls_silent_is_given_up(server: Scripted, tmp_path: Path) -> None:
    silent = threading.Event()

    def stall(handler: Handler) -> None:
        handler.reply(b"x", length=10)
        silent.wait(20)

    found = problem(server, tmp_path, stall, limits=Limits(timeout=0.05, attempts=2, pause=0))
    silent.set()
    assert "no answer in time" in found


def test_a_trickle_is_no_progress(server: Scripted, tmp_path: Path) -> None:
    done = threading.Event()

    def trickle(handler: Handler) -> None:
        handler.reply(b"", length=1000)
        while not done.wait(0.005):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    limits = Limits(timeout=5, attempts=2, pause=0, window=0.05)
    found = problem(server, tmp_path, trickle, limits=limits)
    done.set()
    assert "fewer than 65536 bytes in 0.05 seconds" in found


def test_nobody_there(tmp_path: Path) -> None:
    server = Scripted()
    url = server.url()
    server.server_close()
    assert "Connection refused" in problem(server, tmp_path, url=url)


def test_secrets_of_a_url_go_to_its_server_only(server: Scripted, tmp_path: Path) -> None:
    said: list[str] = []
    store, iso = Store(tmp_path / "store"), modern(tmp_path).path.read_bytes()
    url = server.url("/x.iso?token=geheim2", "anna:geheim1@")
    server.script = [lambda h: h.reply(iso)]
    images = Images(store, said.append)
    manifest = images.materialize(Image("x", url))
    assert server.asked[0][0] == "/x.iso?token=geheim2"
    assert server.asked[0][1]["authorization"] == "Basic " + base64.b64encode(b"anna:geheim1").decode()
    entry, _ = add_image(store, "x", url, "")
    assert (entry.digest, entry.source) == (manifest.digest, server.url("/x.iso?…"))
    server.script = [status(403)]
    with pytest.raises(FleetError) as caught:
        add_image(store, "y", url, "")
    for path in store.folder.rglob("*"):
        assert b"geheim" not in (path.read_bytes() if path.is_file() else b"") + str(path).encode()
    assert "geheim" not in " ".join((*said, str(caught.value), repr(caught.value.diagnostics)))


def test_a_password_does_not_follow_a_redirection_to_another_server(server: Scripted, tmp_path: Path) -> None:
    elsewhere = Scripted()
    thread = threading.Thread(target=elsewhere.serve_forever, args=(0.01,))
    thread.start()
    elsewhere.script = [whole]
    try:
        url = server.url(login="anna:geheim@")
        assert get(server, tmp_path, lambda h: h.reply(b"", 302, Location=elsewhere.url("/y")), url=url) == DATA
        assert "authorization" not in elsewhere.asked[0][1]
        assert get(server, tmp_path, lambda h: h.reply(b"", 302, Location="/there"), whole, url=url) == DATA
        assert "authorization" in server.asked[-1][1]
    finally:
        elsewhere.shutdown()
        thread.join()
        elsewhere.server_close()


def test_two_that_fetch_the_same_do_not_disturb_each_other(server: Scripted, tmp_path: Path) -> None:
    server.script = [whole]
    found: list[bytes] = []

    def one() -> None:
        with fetched(address(server.url()), tmp_path, lambda _: None, limits=QUICK) as (path, _):
            found.append(path.read_bytes())

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [DATA] * 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://h/x.iso", "file:///etc/passwd", "http://", "https://[::1/x", "http://h:99999/x"])
def test_what_is_no_address_of_an_image(url: str) -> None:
    with pytest.raises(ImageProblem, match="not a URL of an image"):
        address(url)


def test_an_image_from_a_url_is_fetched_once(server: Scripted, tmp_path: Path) -> None:
    iso = modern(tmp_path)
    data = iso.path.read_bytes()
    checksum = hashlib.sha256(data).hexdigest()
    server.script = [lambda h: h.reply(data)]
    store = Store(tmp_path / "store")
    image = Image("x", server.url(), checksum)
    assert Images(store).outline(image, fetch=False) is None
    assert server.asked == []
    outline = Images(store).outline(image)
    manifest = Images(store).materialize(image)
    assert {n: f.path.read_bytes() for n, f in manifest.files.items()} == dict(iso.expected)
    assert outline is not None
    assert outline == Images(store).outline(image, fetch=False)
    assert len(server.asked) == 1
    assert list((store.folder / "downloads").iterdir()) == []
    with pytest.raises(FleetError, match="does not have its declared sha256"):
        Images(store).materialize(Image("x", server.url(), "0" * 64))
    assert len(server.asked) == 2, "a new checksum asks for new content"


def test_what_is_fetched_and_no_installer_is_not_kept(server: Scripted, tmp_path: Path) -> None:
    server.script = [whole]
    store = Store(tmp_path / "store")
    with pytest.raises(FleetError, match="an ISO image cannot be read"):
        Images(store).materialize(Image("x", server.url()))
    assert list((store.folder / "downloads").iterdir()) == []
    assert store.digests() == []
