"""ISOs of every generation become bootable files, byte for byte; what is no installer, damaged or a trap is refused."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.model import FleetError, Image
from providers.boot.images import Images
from providers.boot.pieces import BLOCK, BUFFER, Copier, ImageProblem, Piece
from providers.boot.sources import Sources
from providers.boot.store import Store
from tests.support.isos import (
    MODERN_CFG,
    FakeIso,
    bzip2,
    contents,
    disk_image,
    esx35,
    esx40,
    esx41,
    make_iso,
    modern,
    write_tree,
)

GENERATIONS: dict[str, Callable[[Path], FakeIso]] = {
    "3.5": esx35,
    "3.5 plain": lambda f: esx35(f, style="plain"),
    "4.0": esx40,
    "4.1": esx41,
    "4.1 plain": lambda f: esx41(f, style="plain"),
    "4.1 own names": lambda f: esx41(f, own_names=True),
    "5.x": lambda f: modern(f, build="5.5.0-1331820", uefi=False, crypto=False, style="rock"),
    "5.x plain": lambda f: modern(f, build="5.0.0-469512", crypto=False, style="plain"),
    "6.x joliet": lambda f: modern(f, build="6.7.0-8169922", crypto=False, style="joliet"),
    "7.x": lambda f: modern(f, build="7.0.3-0.0.18644231", style="xorriso"),
    "8.x": lambda f: modern(f, style="plain"),
    "9.x": lambda f: modern(f, build="9.0.0-0.24755229", bios=False, style="xorriso"),
}


def images(tmp: Path, said: list[str] | None = None) -> Images:
    return Images(Store(tmp / "store"), (said if said is not None else []).append)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_each_generation_byte_for_byte(generation: str, tmp_path: Path) -> None:
    iso = GENERATIONS[generation](tmp_path)
    source = images(tmp_path)
    outline = source.outline(Image("x", str(iso.path)))
    manifest = source.materialize(Image("x", str(iso.path)))
    staged = {name: file.path.read_bytes() for name, file in manifest.files.items()}
    assert {n: staged.get(n) for n in iso.expected} == dict(iso.expected)
    assert set(staged) - set(iso.expected) <= {"boot.cfg"}  # fleet's own, where the ISO has none
    assert outline is not None
    assert outline.digest == manifest.digest == manifest.folder.name
    assert outline.loader == manifest.loader == ("legacy" if generation[0] in "34" else "mboot")
    assert dict(outline.files) == {n: hashlib.sha256(data).hexdigest() for n, data in staged.items()}
    assert Images(Store(tmp_path / "other")).manifest(Image("x", str(manifest.folder))).digest == manifest.digest


@pytest.mark.parametrize(("generation", "kernel", "modules", "build"), [
    ("3.5", "vmkernel.gz", "binmod.tgz environ.tgz cim.tgz oem.tgz license.tgz", "3.5.0-110271"),
    ("4.0", "vmkboot.gz", "vmkernel.gz sys.vgz cim.vgz oem.tgz license.tgz", "4.0.0-208167"),
    ("4.1", "vmkboot.gz", "vmkernel.gz sys.vgz cim.vgz ienviron.vgz install.vgz mod.tgz", ""),
    ("4.1 own names", "b.z", "k.z s.z c.z oem.tgz license.tgz", "4.1.0-260247"),
])
def test_module_order_of_the_old_generations(generation: str, kernel: str, modules: str, build: str,
                                             tmp_path: Path) -> None:
    manifest = images(tmp_path).materialize(Image("x", str(GENERATIONS[generation](tmp_path).path)))
    assert (manifest.cfg.kernel, " ".join(manifest.cfg.modules), manifest.cfg.build) == (kernel, modules, build)


def test_a_known_iso_is_neither_read_nor_extracted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iso = modern(tmp_path)
    first = images(tmp_path).outline(Image("x", str(iso.path)))
    assert not [p for p in (tmp_path / "store").iterdir() if len(p.name) == 64], "only its digest was asked for"
    manifest = images(tmp_path).materialize(Image("x", str(iso.path)))
    monkeypatch.setattr(Sources, "_installer", None)  # whatever opens the ISO now fails
    again = images(tmp_path)
    assert again.outline(Image("x", str(iso.path))) == first
    assert again.materialize(Image("x", str(iso.path))).digest == manifest.digest


def test_another_iso_of_that_name_is_another_image(tmp_path: Path) -> None:
    iso = modern(tmp_path)
    before = images(tmp_path).materialize(Image("x", str(iso.path))).digest
    (tmp_path / "two").mkdir()
    os.replace(modern(tmp_path / "two", seed=7).path, iso.path)
    after = images(tmp_path).materialize(Image("x", str(iso.path)))
    assert after.digest != before
    assert after.files["s.v00"].path.read_bytes() != iso.expected["s.v00"]


def test_the_declared_checksum_is_of_the_iso_file(tmp_path: Path) -> None:
    iso = modern(tmp_path)
    right = hashlib.sha256(iso.path.read_bytes()).hexdigest()
    assert images(tmp_path).outline(Image("x", str(iso.path), right.upper())) is not None
    with pytest.raises(FleetError, match=f"declared {'0' * 64}, found {right}"):
        images(tmp_path).materialize(Image("x", str(iso.path), "0" * 64))


def test_without_leave_to_write_nothing_is_written(tmp_path: Path) -> None:
    iso, old = modern(tmp_path / "new"), esx35(tmp_path / "old")
    source = images(tmp_path)
    found = source.outline(Image("x", str(iso.path)), fetch=False)
    assert found is not None
    assert found.digest
    assert source.outline(Image("x", str(old.path)), fetch=False) is None  # it takes unpacking to know
    assert not (tmp_path / "store").exists()


# --- what is refused ------------------------------------------------------------------------------------------


def refused(tmp: Path, iso: Path) -> str:
    """Why; and that nothing of it stays in the store."""
    with pytest.raises(FleetError) as caught:
        images(tmp).materialize(Image("x", str(iso)))
    assert not [p for p in (tmp / "store").glob("*") if p.is_dir()]
    assert not [p for p in (tmp / "store").glob(".new-*")]
    (found,) = caught.value.diagnostics
    assert found.remedy
    return f"{found.summary}: {found.detail}"


@pytest.mark.parametrize("part", [0.0, 0.05, 0.3, 0.6, 0.9])
def test_a_truncated_iso(part: float, tmp_path: Path) -> None:
    iso = modern(tmp_path, size=60_000).path
    with iso.open("r+b") as file:
        file.truncate(int(iso.stat().st_size * part))
    assert "an ISO image" in refused(tmp_path, iso)


@pytest.mark.parametrize("style", ["rock", "joliet", "plain", "xorriso"])
def test_a_directory_that_points_past_the_end(style: str, tmp_path: Path) -> None:
    """pycdlib cuts such files off without a word; and the ISO's own size may be wrong, too."""
    iso = modern(tmp_path, style=style, size=60_000).path
    short = iso.stat().st_size // 3 // 2048
    with iso.open("r+b") as file:
        file.truncate(short * 2048)
        for descriptor in (16, 17, 18):  # volume descriptors: their sizes, in both byte orders
            file.seek(descriptor * 2048)
            if file.read(1) in (b"\1", b"\2"):
                file.seek(descriptor * 2048 + 80)
                file.write(struct.pack("<I", short) + struct.pack(">I", short))
    assert "ends before the end of" in refused(tmp_path, iso)


def test_an_iso_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iso = modern(tmp_path).path

    def growing(copier: Copier, piece: Piece, target: int, *, hashed: bool = True) -> str:
        with iso.open("ab") as file:
            file.write(b"x")
        return honest(copier, piece, target, hashed=hashed)

    honest = Copier.copy
    monkeypatch.setattr(Copier, "copy", growing)
    assert "has changed while it was read" in refused(tmp_path, iso)


def test_noise_is_no_iso(tmp_path: Path) -> None:
    (tmp_path / "noise.iso").write_bytes(contents(("x",), 1, 900_000)["x"])
    assert refused(tmp_path, tmp_path / "noise.iso").startswith("an ISO image cannot be read")
    (tmp_path / "empty.iso").touch()
    assert refused(tmp_path, tmp_path / "empty.iso").startswith("an ISO image cannot be read")


@pytest.mark.parametrize("style", ["rock", "plain"])
def test_an_iso_of_something_else(style: str, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", contents(
        ("install.amd/vmlinuz", "install.amd/initrd.gz", "isolinux/isolinux.bin", "efi/boot/bootx64.efi",
         "pool/main/b/bash/bash.deb", "md5sum.txt"), 3))
    assert "is no installer of ESXi" in refused(tmp_path, make_iso(tree, tmp_path / "debian.iso", style))


def odd_iso(tmp: Path, files: dict[str, bytes], style: str = "rock") -> Path:
    return make_iso(write_tree(tmp / "tree", files), tmp / "odd.iso", style)


def cfg(kernel: str = "b.b00", modules: str = "k.b00") -> bytes:
    return MODERN_CFG.format(kernel=kernel, modules=modules, build="8").encode()


def test_modules_that_are_listed_and_missing_are_all_named(tmp_path: Path) -> None:
    iso = odd_iso(tmp_path, {"boot.cfg": cfg(modules="k.b00 --- /s.v00 --- /t.v00"), **contents(("b.b00", "s.v00"), 1)})
    assert refused(tmp_path, iso).endswith("odd.iso: k.b00, t.v00")


def test_an_installer_without_a_boot_loader(tmp_path: Path) -> None:
    assert "has no boot loader" in refused(tmp_path, odd_iso(tmp_path, {"boot.cfg": cfg(), **contents(
        ("b.b00", "k.b00"), 1)}))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/../x", "a/../../x", "http://elsewhere/x"])
@pytest.mark.parametrize("place", ["kernel", "modules"])
def test_names_that_lead_out_of_the_image(name: str, place: str, tmp_path: Path) -> None:
    files = {"boot.cfg": cfg(**{place: name}), **contents(("b.b00", "k.b00", "mboot.c32"), 1)}
    assert "boot.cfg cannot be used" in refused(tmp_path, odd_iso(tmp_path, files))


def test_an_absolute_name_is_one_of_the_iso(tmp_path: Path) -> None:
    files = {"boot.cfg": cfg(kernel="/etc/passwd"), **contents(("etc/passwd", "k.b00", "mboot.c32"), 1)}
    manifest = images(tmp_path).materialize(Image("x", str(odd_iso(tmp_path, files))))
    assert manifest.files["etc/passwd"].path.read_bytes() == files["etc/passwd"]
    assert manifest.files["etc/passwd"].path.is_relative_to(tmp_path / "store")


def test_names_that_the_store_needs_for_itself(tmp_path: Path) -> None:
    files = {"boot.cfg": cfg(modules=".image.json"), **contents(("b.b00", ".image.json", "mboot.c32"), 1)}
    assert "a reserved name" in refused(tmp_path, odd_iso(tmp_path, files))


def test_links_of_an_iso_are_not_followed(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"boot.cfg": cfg(), **contents(("b.b00", "mboot.c32"), 1)})
    (tree / "k.b00").symlink_to("/etc/hostname")
    assert refused(tmp_path, make_iso(tree, tmp_path / "odd.iso", "rock")).endswith(": k.b00")


def test_one_name_in_two_spellings(tmp_path: Path) -> None:
    files = {"boot.cfg": cfg(), **contents(("b.b00", "k.b00", "K.B00", "mboot.c32"), 1)}
    assert "has one file twice" in refused(tmp_path, odd_iso(tmp_path, files))


# --- disk images ----------------------------------------------------------------------------------------------


def packed_iso(tmp: Path, packed: bytes) -> Path:
    return odd_iso(tmp, {"imagedd.bz2": packed})


def test_a_damaged_disk_image(tmp_path: Path) -> None:
    whole = bzip2(disk_image(tmp_path / "d", {"Hypervisor0": contents(("mboot.c32",), 1), "Hypervisor1": contents(
        ("vmkboot.gz", "vmkernel.gz", "sys.vgz", "cim.vgz"), 2)}))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x55
    for number, packed in enumerate((whole[:len(whole) // 2], bytes(flipped), b"BZh9 is not enough", b"")):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert "the disk image in an ISO is corrupt" in refused(folder, packed_iso(folder, packed))


@pytest.mark.parametrize(("volumes", "expected"), [
    ({"Hypervisor0": ("mboot.c32",), "Hypervisor1": ("readme.txt",)}, "holds no ESX"),
    ({"Hypervisor0": ("readme.txt",), "Hypervisor1": ("vmkboot.gz", "vmkernel.gz", "sys.vgz", "cim.vgz")},
     "has no boot loader"),
    ({"Hypervisor0": ("mboot.c32",), "Hypervisor1": ("vmkernel.gz", "binmod.tgz", "cim.tgz")}, "no environ.tgz"),
    ({"Hypervisor0": ("mboot.c32",), "Hypervisor1": ("vmkboot.gz", "sys.vgz", "cim.vgz")},
     "no vmkernel.gz or vmk.gz"),
])
def test_disk_images_that_lack_something(volumes: dict[str, tuple[str, ...]], expected: str, tmp_path: Path) -> None:
    disk = disk_image(tmp_path / "d", {n: contents(files, 1) for n, files in volumes.items()})
    assert expected in refused(tmp_path, packed_iso(tmp_path, bzip2(disk)))


def test_a_module_that_the_disks_own_boot_cfg_lists_and_that_is_missing(tmp_path: Path) -> None:
    system = {**contents(("vmkboot.gz", "vmkernel.gz", "sys.vgz", "cim.vgz"), 1),
              "boot.cfg": b"kernel=vmkboot.gz\nmodules=vmkernel.gz --- sys.vgz --- oem.tgz --- state.tgz\n"}
    disk = disk_image(tmp_path / "d", {"Hypervisor0": contents(("mboot.c32",), 1), "Hypervisor1": system})
    assert refused(tmp_path, packed_iso(tmp_path, bzip2(disk))).endswith("Hypervisor1 has no oem.tgz")


def test_an_archive_without_a_disk_image(tmp_path: Path) -> None:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(__file__, "usr/lib/vmware/installer/other.txt")
    assert "holds no disk image" in refused(tmp_path, odd_iso(tmp_path, {"install.tgz": packed.getvalue()}))
    (tmp_path / "cut").mkdir()
    cut = odd_iso(tmp_path / "cut", {"install.tgz": packed.getvalue()[:200]})
    assert "the disk image in an ISO is corrupt" in refused(tmp_path, cut)


def test_the_rest_of_hypervisor1_is_kept_beside_the_boot_files(tmp_path: Path) -> None:
    system = contents(("vmkernel.gz", "binmod.tgz", "environ.tgz", "cim.tgz", "pkgdb.tgz", "readme.txt"), 9)
    manifest = images(tmp_path).materialize(Image("x", str(esx35(tmp_path, system=system).path)))
    assert {"pkgdb.tgz", "readme.txt"} & set(manifest.files) == set()
    assert (manifest.folder / "pkgdb.tgz").read_bytes() == system["pkgdb.tgz"]
    assert not Store(tmp_path / "store").damages(manifest.digest)


def test_a_guid_partition_table_is_named(tmp_path: Path) -> None:
    disk = bytearray(64 * 1024)
    disk[446:462] = struct.pack("<B3xB3xII", 0, 0xEE, 1, 127)
    disk[510:512] = b"\x55\xaa"
    (tmp_path / "d").write_bytes(disk)
    assert "GUID partition table" in refused(tmp_path, packed_iso(tmp_path, bzip2(tmp_path / "d")))


# --- pieces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bypass", [True, False, None])
@pytest.mark.parametrize("size", [0, 1, BLOCK, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER + BLOCK, 3 * BUFFER - 7])
def test_pieces_of_many_runs_are_copied_in_order(size: int, bypass: bool | None, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """With O_DIRECT where the file system has it, without, and where it takes it and then refuses to write so."""
    if bypass is False:
        monkeypatch.setattr("providers.boot.pieces._bypass", lambda target, wanted: False)
    elif bypass is None:
        monkeypatch.setattr("providers.boot.pieces.os.write", refusing(os.write))
    data = contents(("x",), size, 3 * BUFFER)["x"]
    (tmp_path / "in").write_bytes(data)
    runs = ((BLOCK, size // 2), (3, size - size // 2))
    wanted = b"".join(data[o:o + n] for o, n in runs)
    with (tmp_path / "in").open("rb") as file:
        piece = Piece("in", runs, file.fileno())
        assert (piece.size, piece.sha256()) == (size, hashlib.sha256(wanted).hexdigest())
        for hashed in (True, False):
            with (tmp_path / "out").open("wb", buffering=0) as out:
                assert Copier().copy(piece, out.fileno(), hashed=hashed) == (piece.sha256() if hashed else "")
            assert (tmp_path / "out").read_bytes() == wanted


def refusing(write: Callable[[int, memoryview], int]) -> Callable[[int, memoryview], int]:
    """As a file system does that has O_DIRECT for some files only."""
    def answer(target: int, data: memoryview) -> int:
        if fcntl.fcntl(target, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(target, data)
    return answer


def test_text_of_ours_and_a_source_that_ends_too_early(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 100)
    with (tmp_path / "out").open("wb", buffering=0) as out, (tmp_path / "in").open("rb") as file:
        assert Copier().copy(Piece("t", data=b"text"), out.fileno()) == hashlib.sha256(b"text").hexdigest()
        beyond = Piece("in", ((90, 20),), file.fileno())
        for attempt in (beyond.sha256, lambda: Copier().copy(beyond, out.fileno())):
            with pytest.raises(ImageProblem, match="it ends within in"):
                attempt()
    assert (tmp_path / "out").read_bytes()[:4] == b"text"
