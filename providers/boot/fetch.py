"""Fetching an image over HTTP(S): resumed where the server allows it, else begun again; whole, checked, or an error.

Range requests and validators as RFC 9110 (sections 13.1.5 and 14) has them. What a URL may carry as secrets, user
information and query, goes to its server only: never into messages, file names or the store's index.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from providers.boot.pieces import CHUNK, ImageProblem
from providers.boot.store import FULL, no_space

REACH = "check the address, and that this machine reaches it"


@dataclass(frozen=True, slots=True)
class Limits:
    """`size` in bytes; `timeout` in seconds, for each read; `attempts` without any progress before giving up."""

    size: int = 16 << 30
    timeout: float = 30.0
    attempts: int = 4
    pause: float = 1.0  # before the second attempt; doubles
    crawl: int = 64 * 1024  # fewer bytes than this in `window` seconds are no progress
    window: float = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart: `shown` may be printed; `login` is the Authorization header's value, or ""."""

    url: str
    shown: str
    login: str
    key: str


def address(url: str) -> Address:
    """Raises ImageProblem where it is no http(s) URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ImageProblem("not a URL of an image", parts.scheme or "(not shown)", "write http://… or https://…")
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    login = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = "Basic " + base64.b64encode(pair.encode()).decode()
    shown = urlunsplit((parts.scheme, place, parts.path, "…" if parts.query else "", ""))
    return Address(urlunsplit((parts.scheme, place, parts.path or "/", parts.query, "")), shown, login,
                   "url:" + hashlib.sha256(url.encode()).hexdigest())


class _Again(Exception):
    """This attempt failed in a way that another one may not."""


class _Refused(Exception):
    """Nor would another one succeed."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To http(s) only, never from https to http, and the password does not go along to another server."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            fp.close()
            raise _Refused(f"it redirects from {old.scheme} to {new.scheme[:10]}")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            made.remove_header("Authorization")
        return made


def _opener() -> urllib.request.OpenerDirector:
    """Without urllib's handlers of file:, ftp: and data: URLs."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                    urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, _Redirects):
        opener.add_handler(handler())
    return opener


@contextmanager
def fetched(where: Address, folder: Path, say: Callable[[str], None], *, sha256: str = "",
            limits: Limits | None = None, sleep: Callable[[float], None] = time.sleep) -> Iterator[tuple[Path, str]]:
    """Fetch to a file below `folder`, and give (its path, its SHA-256); the file is removed at the end.

    What a failed or killed fetch got so far is kept there for the next one. Raises ImageProblem: unreachable, refused,
    too large, incomplete, another checksum than `sha256` (lower-case hex, if given), no space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{where.key.partition(':')[2][:32]}.part"
    with _exclusive(path) as file:
        fetch = _Fetch(where, file, path, limits or Limits(), say)
        try:
            digest = fetch.complete(sleep)
        except OSError as error:
            if error.errno not in FULL:
                raise
            fetch.forget()
            raise no_space(folder, f"{error.strerror}, while fetching {where.shown}") from error
        try:
            if sha256 and digest != sha256:
                raise ImageProblem("an image does not have its declared sha256",
                                   f"{where.shown}: declared {sha256}, found {digest}", "correct one of them")
            yield path, digest
        finally:
            fetch.forget()


@contextmanager
def _exclusive(path: Path) -> Iterator[Any]:
    """The file, made where it is missing. Whoever else fetches the same waits."""
    while True:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    yield file
                    return
        # The one that we waited for has finished with the file and removed it.


class _Fetch:
    """One file that is being fetched. `validator` is the ETag or date that the part on disk belongs to."""

    def __init__(self, where: Address, file: Any, path: Path, limits: Limits, say: Callable[[str], None]) -> None:
        self.where, self.file, self.path, self.limits, self.say = where, file, path, limits, say
        self.notes = path.with_suffix(".json")
        self.told = 0.0

    def complete(self, sleep: Callable[[float], None]) -> str:
        failures, pause = 0, self.limits.pause
        self.say(f"fetching {self.where.shown}")
        while True:
            before = self._size()
            try:
                if self._attempt():
                    return self._digest()
            except _Again as error:
                failures = 1 if self._size() - before >= self.limits.crawl else failures + 1
                if failures >= self.limits.attempts:
                    raise ImageProblem("an image cannot be fetched", f"{self.where.shown}: {error}", REACH) from error
                self.say(f"fetching {self.where.shown}: {error}; once more")
                sleep(pause)
                pause = min(pause * 2, 30.0)

    def forget(self) -> None:
        for path in (self.path, self.notes):
            path.unlink(missing_ok=True)

    def _size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def _attempt(self) -> bool:
        have, validator = self._size(), self._validator()
        if have and not validator:
            have = self._restart()
        headers = {"Accept-Encoding": "identity", "User-Agent": "fleet"}
        if self.where.login:
            headers["Authorization"] = self.where.login
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator}
        request = urllib.request.Request(self.where.url, headers=headers)  # noqa: S310 - http(s) only, see `address`
        try:
            with _opener().open(request, timeout=self.limits.timeout) as reply:
                return self._receive(reply, have)
        except _Refused as error:
            raise ImageProblem("an image cannot be fetched", f"{self.where.shown}: {error}", REACH) from error
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # what is here is not a part of what is there any more
                self._restart()
                raise _Again("the file there has changed") from error
            if error.code >= 500 or error.code in (408, 429):
                raise _Again(f"the server answers {error.code}") from error
            raise ImageProblem("an image cannot be fetched", f"{self.where.shown}: the server answers {error.code}",
                               "check the address, and whether it needs a login") from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise  # of our disk; everything else is the network's
            raise _Again(_reason(error)) from error

    def _receive(self, reply: Any, have: int) -> bool:
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise ImageProblem("an image cannot be fetched", f"{self.where.shown}: the server packs it "
                               f"({reply.headers['Content-Encoding'][:20]})", "name a server that sends plain files")
        length = reply.headers.get("Content-Length")
        if reply.status == 206 and have:
            if not str(reply.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
                self._restart()
                raise _Again("the server sends another part than asked for")
        else:
            have = self._restart()
        total = have + int(length) if length and length.isdigit() else None
        if total is None and reply.headers.get("Transfer-Encoding", "").lower() != "chunked":
            raise ImageProblem("an image cannot be fetched", f"{self.where.shown}: the server does not tell its "
                               "length", "name a server that sends Content-Length")
        self._check_size(total or 0)
        self._note(reply.headers.get("ETag") or reply.headers.get("Last-Modified") or "")
        have = self._copy(reply, have, total)
        if total is not None and have < total:
            raise _Again(f"the connection ended after {have} of {total} bytes")
        return True

    def _copy(self, reply: Any, have: int, total: int | None) -> int:
        mark, since = have, time.monotonic()
        while chunk := reply.read1(CHUNK):
            have += len(chunk)
            self._check_size(have)
            written = 0
            while written < len(chunk):
                written += self.file.write(chunk[written:])
            now = time.monotonic()
            if now - since > self.limits.window:
                if have - mark < self.limits.crawl:
                    raise _Again(f"fewer than {self.limits.crawl} bytes in {self.limits.window:g} seconds")
                mark, since = have, now
            if now - self.told > 5:
                self.told = now
                self.say(f"fetching {self.where.shown}: {have >> 20}{f' of {total >> 20}' if total else ''} MiB")
        return have

    def _check_size(self, size: int) -> None:
        if size > self.limits.size:
            self.forget()
            raise ImageProblem("an image is too large to be one", f"{self.where.shown}: over {self.limits.size} bytes",
                               "name the ISO of an installer")

    def _restart(self) -> int:
        self.file.truncate(0)
        return 0

    def _validator(self) -> str:
        """"" where the part on disk cannot be continued; weak ETags do not count (RFC 9110, 13.1.5)."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = str(json.loads(self.notes.read_bytes())["validator"])
            return "" if found.startswith("W/") else found
        return ""

    def _note(self, validator: str) -> None:
        self.notes.write_text(json.dumps({"validator": validator}))

    def _digest(self) -> str:
        os.fsync(self.file.fileno())
        with self.path.open("rb", buffering=0) as file:
            return file_sha256(file)


def file_sha256(file: Any) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """Why, without the URL, which some exceptions carry."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    if isinstance(inner, http.client.IncompleteRead):
        return "the connection ended too early"
    return str(inner)[:100] if isinstance(inner, str) else type(inner).__name__
