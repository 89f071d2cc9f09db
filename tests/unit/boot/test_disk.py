"""Partitions and FAT of disk images: as the tools that made them say, and never a crash on anything else."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.boot.disk import FAT_TYPES, SECTOR, partitions, read_volume
from providers.boot.pieces import ImageProblem
from tests.support.isos import contents, disk_image, run
from tests.support.tools import need

VOLUMES = {
    "Hypervisor0": contents(("mboot.c32", "syslinux.cfg"), 1),
    "Hypervisor1": {**contents(("vmkernel.gz", "a-long-name-with-UPPER-case.tgz", "MixedCas.e"), 2, 30_000),
                    "empty": b""},
    "Hypervisor2": {}, "Hypervisor3": contents(("one.tgz",), 3),
}


def read(path: Path) -> dict[str, dict[str, bytes]]:
    found = {}
    with path.open("rb") as disk:
        for partition in partitions(disk, "d"):
            if partition.kind in FAT_TYPES:
                volume = read_volume(disk, partition, "d")
                found[volume.label] = {n: b"".join(map(bytes, p.chunks())) for n, p in volume.files.items()}
    return found


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk_image(tmp_path_factory.mktemp("disk") / "d", VOLUMES)


def test_partitions_are_those_that_sfdisk_made(disk: Path) -> None:
    told = json.loads(subprocess.run([need("sfdisk"), "--json", str(disk)], capture_output=True, check=True).stdout)
    wanted = [(int(p["node"].removeprefix(str(disk))), int(p["type"], 16), p["start"] * SECTOR, p["size"] * SECTOR)
              for p in told["partitiontable"]["partitions"] if p["type"] != "5"]
    with disk.open("rb") as file:
        assert [(p.number, p.kind, p.offset, p.size) for p in partitions(file, "d")] == wanted
    assert [w[0] for w in wanted] == [4, 5, 6, 7]


def test_files_are_those_that_mcopy_copied(disk: Path) -> None:
    assert read(disk) == {name.upper(): {n.lower(): data for n, data in files.items()}
                          for name, files in VOLUMES.items()}


@pytest.mark.parametrize(("bits", "size"), [(12, 2 << 20), (16, 16 << 20), (32, 40 << 20)])
def test_each_kind_of_fat_with_scattered_files(bits: int, size: int, tmp_path: Path) -> None:
    """Files are deleted and larger ones written into the gaps, so that clusters are no longer neighbours."""
    path = tmp_path / "d"
    with path.open("wb") as file:
        file.truncate(size + SECTOR)
        file.seek(446)
        file.write(struct.pack("<B3xB3xII", 0, 0x0C, 1, size // SECTOR))
        file.seek(510)
        file.write(b"\x55\xaa")
    run(need("mkfs.vfat"), "-F", str(bits), "-s", "1", "--offset", "1", str(path), str(size // 1024))
    small = contents(tuple(f"f{n}" for n in range(40)), bits, 3000)
    for name, data in small.items():
        (tmp_path / name).write_bytes(data)
    run(need("mcopy"), "-i", f"{path}@@{SECTOR}", *(str(tmp_path / n) for n in small), "::")
    gone = [name for name in small if name.endswith(("1", "3", "5", "7", "9"))]
    run(need("mdel"), "-i", f"{path}@@{SECTOR}", *(f"::{n}" for n in gone))
    (tmp_path / "big").write_bytes(big := contents(("big",), 4, 200_000)["big"])
    run(need("mcopy"), "-i", f"{path}@@{SECTOR}", str(tmp_path / "big"), "::")
    wanted = {**{n: d for n, d in small.items() if n not in gone}, "big": big}
    (files,) = read(path).values()
    assert files == wanted
    if bits != 32:  # there mcopy goes on behind what was written last
        with path.open("rb") as file:
            (partition,) = partitions(file, "d")
            assert len(read_volume(file, partition, "d").files["big"].runs) > 5, "the test wants a scattered file"


def table(*entries: tuple[int, int, int]) -> bytes:
    """A sector with a partition table of (type, first sector, sectors)."""
    raw = b"".join(struct.pack("<B3xB3xII", 0, *entry) for entry in entries)
    return bytes(446) + raw.ljust(64, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(("disk", "expected"), [
    (b"", "no partition table"),
    (bytes(512), "no partition table"),
    (table((6, 1, 2)), "reaches from byte 512 to 1536 of 512"),
    (table((6, 0, 1)), "partition 1 reaches from byte 0"),
    (table((0xEE, 1, 1)) + bytes(512), "GUID"),
    (table((5, 1, 9)) + table((6, 1, 1), (5, 1, 1)) * 2 + bytes(1024), "in a circle"),
    (table((5, 1, 9)) + table((6, 1, 1), (5, 0, 1)) + bytes(0), "partition 5 reaches"),
    (table((5, 1, 9)), "no partition table at byte 512"),
    (table((0x0F, 1, 9)) + table((0, 0, 0), (0x0F, 7, 1)), "no partition table at byte 4096"),
])
def test_tables_that_make_no_sense(disk: bytes, expected: str) -> None:
    with pytest.raises(ImageProblem, match=expected):
        partitions(io.BytesIO(disk), "d")


def entries() -> st.SearchStrategy[tuple[int, int, int]]:
    small = st.integers(0, 12)
    sectors = small | st.integers(0, 2**32 - 1)
    return st.tuples(st.sampled_from((0, 1, 4, 5, 6, 0x0F, 0x85, 0xEE, 0xFC)) | st.integers(0, 255), sectors, sectors)


@given(st.lists(st.lists(entries(), max_size=4).map(lambda e: table(*e)) | st.binary(max_size=SECTOR).map(
    lambda b: b.ljust(SECTOR, b"\0")), max_size=10).map(b"".join))
def test_any_table_gives_partitions_within_the_disk_or_an_error(disk: bytes) -> None:
    with suppress(ImageProblem):
        found = partitions(io.BytesIO(disk), "d")
        assert all(p.offset > 0 and p.offset + p.size <= len(disk) and p.size for p in found)
        assert len({p.number for p in found}) == len(found)


@given(st.lists(st.tuples(st.integers(0, 45_000), st.integers(0, 255)), min_size=1, max_size=30), st.booleans())
def test_a_damaged_fat_gives_files_or_an_error(small_disk: tuple[Path, bytes], changes: list[tuple[int, int]],
                                               header: bool) -> None:
    path, sound = small_disk
    damaged = bytearray(sound)
    for place, value in changes:
        damaged[SECTOR + (place % 600 if header else place)] = value
    path.write_bytes(damaged)
    with path.open("rb") as file:
        (partition,) = partitions(file, "d")
        with suppress(ImageProblem):
            volume = read_volume(file, partition, "d")
            for piece in volume.files.values():
                assert all(partition.offset <= o and o + n <= partition.offset + partition.size for o, n in piece.runs)
                assert sum(len(c) for c in piece.chunks()) == piece.size


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("small") / "d"
    size = 256 * 1024
    path.write_bytes(table((1, 1, size // SECTOR)) + bytes(size))
    run(need("mkfs.vfat"), "-F", "12", "--offset", "1", str(path), str(size // 1024))
    tree = path.parent / "t"
    tree.mkdir()
    for name, data in contents(("a.tgz", "some-longer-name.vgz", "b"), 7, 9000).items():
        (tree / name).write_bytes(data)
    run(need("mcopy"), "-i", f"{path}@@{SECTOR}", *map(str, tree.iterdir()), "::")
    return path, path.read_bytes()


def test_a_chain_of_clusters_in_a_circle(small_disk: tuple[Path, bytes]) -> None:
    path, sound = small_disk
    with path.open("r+b") as file:
        file.write(sound)
        (reserved,) = struct.unpack("<H", sound[SECTOR + 14:SECTOR + 16])
        file.seek(SECTOR + reserved * SECTOR)
        file.write(sound[file.tell():file.tell() + 3] + b"\x03\x20\x00" * 20)  # 2 → 3 → 2 → …
    with path.open("rb") as file, pytest.raises(ImageProblem, match="runs in a circle"):
        read_volume(file, partitions(file, "d")[0], "d")
    path.write_bytes(sound)
