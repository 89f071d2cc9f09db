"""Builds govc, and calls it against a `fleet twin serve` of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contract import gobuild

HERE = Path(__file__).parent
SECONDS = 120.0
"""Only a hung process takes that long."""


def build() -> Path:
    """govc's binary, built once. Skips the test where Go cannot build it."""
    return gobuild.build(HERE)


@dataclass(frozen=True, slots=True)
class Govc:
    """govc, logged in anew by each call. It verifies the server's certificate against the CA file."""

    binary: Path
    env: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints (stdout, then stderr); it must exit with this code."""
        done = subprocess.run([self.binary, *arguments], env=self.env, capture_output=True, text=True, check=False,
                              timeout=SECONDS)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"govc {' '.join(arguments)}: exit {done.returncode}\n{said}"
        return said

    def json(self, *arguments: str) -> Any:
        """The JSON document that a command prints."""
        return json.loads(self.run(arguments[0], "-json", *arguments[1:]))

    def facts(self, *arguments: str) -> dict[str, str]:
        """`Name:   value` lines of a command that shows one object."""
        pairs = (line.partition(":") for line in self.run(*arguments).splitlines() if ":" in line)
        return {name.strip(): value.strip() for name, _, value in pairs}


@contextmanager
def served(binary: Path, folder: Path, seed: str) -> Iterator[Govc]:
    """A twin over HTTPS, in a process of its own, laid down by a seed; ended by SIGINT, as a person would."""
    (folder / "seed.yaml").write_text(seed)
    command = (sys.executable, "-m", "planner.cli.main", "twin", "serve", "--seed", "seed.yaml", "--port", "0",
               "--ca-file", "ca.pem", "--json")
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            yield Govc(binary, {
                "PATH": os.environ.get("PATH", ""), "HOME": str(folder), "GOVC_URL": ready["url"],
                "GOVC_USERNAME": ready["user"], "GOVC_PASSWORD": ready["password"],
                "GOVC_TLS_CA_CERTS": str(folder / ready["ca_file"]), "GOVC_PERSIST_SESSION": "false",
                "GOVC_DATACENTER": "dc0"})
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
    assert process.returncode == 0, f"`fleet twin serve` ended with {process.returncode}"
