"""What can be wrong with a `provider: {vsphere: …}` block, as far as it shows without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from planner.model import Attrs, Diagnostic, FleetError, SecretRef

_HEX = frozenset("0123456789abcdefABCDEF")


def block_problems(block: Attrs) -> Iterator[Diagnostic]:
    """Errors, each with what to do. The schema has been checked already."""
    if block.get("server") == "twin":
        yield from _seed(block)
        return
    missing = [] if block.get("user") else ["user"]
    if not isinstance(block.get("password"), SecretRef):
        missing.append("password")
    if missing:
        yield Diagnostic("error", "a vCenter needs a user and a password",
                         f"{block.get('server')}: {' and '.join(missing)} {'are' if missing[1:] else 'is'} not set",
                         remedy=f"set {', '.join(f'provider.vsphere.{name}' for name in missing)}")
    thumbprint = str(block.get("thumbprint") or "")
    digits = thumbprint.replace(":", "").strip()
    if thumbprint and not (len(digits) in (40, 64) and _HEX.issuperset(digits)):
        yield Diagnostic("error", "this is no thumbprint", "provider.vsphere.thumbprint",
                         remedy="write the SHA-256 of the certificate: 64 hex digits, colons or not")
    yield from _file("ca_file", block, "the CA file cannot be read")


def power_offline(block: Attrs) -> Callable[[Attrs], str]:
    """`VsphereSession.power`, from the block alone: the twin starts every machine that its seed does not exempt.

    Raises FleetError where the seed cannot be read.
    """
    if block.get("server") != "twin":
        return lambda _declared: "manual"
    external: frozenset[str] = frozenset()
    if block.get("seed"):
        from providers.twin.machines import normal_mac
        from providers.twin.seed_file import read_seed

        machines = read_seed(Path(str(block["seed"]))).seed.machines
        external = frozenset(normal_mac(mac) for mac, seed in machines.items() if seed.power == "external")

    def power(declared: Attrs) -> str:
        mac = str(declared.get("mac") or "").lower()
        return "twin" if mac and mac not in external else "manual"

    return power


def _seed(block: Attrs) -> Iterator[Diagnostic]:
    """Every mistake of the format, with its place; what does not fit together shows when the twin is opened."""
    missing = list(_file("seed", block, "the twin's seed cannot be read"))
    yield from missing
    if block.get("seed") and not missing:
        from providers.twin.seed_file import read_seed

        try:
            read_seed(Path(str(block["seed"])))
        except FleetError as error:
            yield from error.diagnostics


def _file(key: str, block: Attrs, summary: str) -> Iterator[Diagnostic]:
    path = block.get(key)
    if isinstance(path, str) and path and not Path(path).is_file():
        yield Diagnostic("error", summary, f"{path}: there is no such file", remedy=f"check provider.vsphere.{key}")
