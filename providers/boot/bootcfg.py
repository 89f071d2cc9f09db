"""`boot.cfg`, the file that VMware's mboot reads (ESXi 5 to 9): parse one, and render one for one machine.

Keywords and rules are those of VMware's esx-boot source: `key=value` lines, unknown keys are ignored, `#` starts
a comment line, `modules` is separated by ` --- `, and each module may carry arguments after its file name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SEPARATOR = " --- "
LOADER_KINDS = ("mboot", "legacy", "linux")
"""Who boots it: mboot (ESXi 5 and later), pxelinux with mboot.c32 (ESX 3.5 and 4), or anything that boots Linux."""
_LISTS = ("modules", "acpitables")
_KEPT = ("title", "timeout", "nobootif", "noquirks", "norts", "runtimewd", "runtimewdtimeout", "tftpblksize",
         "skip", "errtimeout", "build")
_INSTALLER = frozenset({"runweasel", "cdromBoot"})
"""Kernel options by which VMware's ISO starts its installer: a machine that boots stateless must not."""


class BootCfgError(ValueError):
    """The text is not a usable boot.cfg; the message says why."""


@dataclass(frozen=True, slots=True)
class BootCfg:
    """A parsed boot.cfg. File names have their leading "/" stripped; `prefix` is dropped on purpose."""

    kernel: str
    modules: tuple[str, ...]  # file name, and its arguments if any, as written
    kernelopt: str = ""
    crypto: str = ""
    acpitables: tuple[str, ...] = ()
    other: Mapping[str, str] | None = None
    loader: str = "mboot"  # `loader=`, a key of ours that mboot ignores: one of LOADER_KINDS

    @property
    def build(self) -> str:
        """The `build=` line ("8.0.3-0.0.24022510"), which mboot ignores; "" where there is none."""
        return (self.other or {}).get("build", "")

    def files(self) -> tuple[str, ...]:
        """Every file that it names, without duplicates, in boot order."""
        named = (self.kernel, *self.modules, *self.acpitables, self.crypto)
        return tuple(dict.fromkeys(n.split()[0] for n in named if n.strip()))


def parse(text: str) -> BootCfg:
    """Raises BootCfgError where there is no kernel, or a name is an URL or leaves the folder."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        key = key.strip().lower()
        if not equals or key.startswith("#"):
            continue
        value = value.strip()
        if key in _LISTS and values.get(key) and value:
            value = values[key] + SEPARATOR + value
        values[key] = value
    if not values.get("kernel"):
        raise BootCfgError("it has no `kernel=` line")
    kernel = _name(values["kernel"])
    loader = values.get("loader") or LOADER_KINDS[0]
    if loader not in LOADER_KINDS:
        raise BootCfgError(f"it has `loader={loader[:40]}`; known are {', '.join(LOADER_KINDS)}")
    return BootCfg(
        kernel=kernel,
        modules=_names(values.get("modules", "")),
        kernelopt=values.get("kernelopt", ""),
        crypto=_name(values["crypto"]) if values.get("crypto") else "",
        acpitables=_names(values.get("acpitables", "")),
        other={k: v for k, v in values.items() if k in _KEPT},
        loader=loader,
    )


def _names(value: str) -> tuple[str, ...]:
    return tuple(_name(part) for part in value.split("---") if part.strip())


def _name(value: str) -> str:
    value = value.strip()
    if "://" in value.split()[0]:
        raise BootCfgError(f"it names a URL ({value.split()[0]}); only files of its own folder can be served")
    value = value.lstrip("/")
    if not value or ".." in value.split()[0].split("/"):
        raise BootCfgError("it names a file outside its own folder")
    return value


def kernel_options(cfg: BootCfg, *, install: bool = False) -> list[str]:
    """The image's own kernel options; those that start VMware's installer only where it is to `install`."""
    if cfg.loader == "linux":
        return cfg.kernelopt.split()
    own = [o for o in cfg.kernelopt.split() if o not in _INSTALLER]
    return [*own, "runweasel"] if install else own


def render(cfg: BootCfg, *, prefix: str, kernelopt: Iterable[str], modules: Iterable[str],
           install: bool = False) -> str:
    """The text for one machine. `kernelopt` and `modules` come after the image's own; see `kernel_options`."""
    lines = [f"{key}={value}" for key, value in (cfg.other or {}).items()]
    lines.append(f"prefix={prefix}")
    lines.append(f"kernel={cfg.kernel}")
    lines.append(f"kernelopt={' '.join([*kernel_options(cfg, install=install), *kernelopt])}")
    if cfg.crypto:
        lines.append(f"crypto={cfg.crypto}")
    if cfg.acpitables:
        lines.append(f"acpitables={SEPARATOR.join(cfg.acpitables)}")
    lines.append(f"modules={SEPARATOR.join([*cfg.modules, *modules])}")
    return "\n".join(lines) + "\n"
