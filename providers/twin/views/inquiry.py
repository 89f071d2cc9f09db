"""What a disk says of itself: SCSI inquiry data and vital product data pages (SPC-4), as HostScsiLun carries them.

Only hosts of a profile show it: it is most of what a real host tells of its disks, and nobody configures it.
"""

from __future__ import annotations

from typing import Any

from pyVmomi import VmomiSupport as Vm

from providers.twin.core.meta import data

_STANDARD = 96  # bytes of standard inquiry data


def serial(disk: str) -> bytes:
    """Unit serial number: the digits of its name."""
    return disk.partition(".")[2].encode()


def naa(disk: str) -> bytes:
    """The name's digits as the binary NAA identifier that they stand for."""
    return bytes.fromhex(disk.partition(".")[2])


def complete(disk: Any) -> Any:
    """A HostScsiDisk with what its inquiry says. Changes it."""
    name = disk.canonicalName
    more = {
        "descriptor": [_descriptor("highQuality", name), _descriptor("lowQuality", f"vml.{disk.uuid}"),
                       _descriptor("lowQuality", disk.uuid)],
        "alternateName": [data("ScsiLunDurableName", namespace="GENERIC_VPD", namespaceId=Vm.byte(5),
                               data=signed(page)) for page in pages(name)],
        "standardInquiry": signed(_standard(disk)),
        "scsiLevel": 6, "serialNumber": "unavailable", "queueDepth": 64,
        "capabilities": data("ScsiLunCapabilities", updateDisplayNameSupported=True),
        "vStorageSupport": "vStorageUnsupported", "protocolEndpoint": False, "perenniallyReserved": False,
        "clusteredVmdkSupported": False, "applicationProtocol": "SCSI", "dispersedNs": False,
        "emulatedDIXDIFEnabled": False, "scsiDiskType": "native512",
    }
    return data(type(disk), **{**disk.__dict__, **more})


def pages(disk: str) -> list[bytes]:
    """Supported pages, unit serial number, device identification, block limits and logical block provisioning."""
    designator = bytes([0x01, 0x03, 0, len(naa(disk))]) + naa(disk)  # binary, NAA, of the logical unit
    return [_page(0x00, bytes([0x00, 0x80, 0x83, 0xB0, 0xB2])), _page(0x80, serial(disk)), _page(0x83, designator),
            _page(0xB0, bytes(60)), _page(0xB2, bytes(4))]


def signed(octets: bytes) -> list[Any]:
    """Bytes as xsd:byte, which is signed."""
    return [Vm.byte(each - 256 if each > 127 else each) for each in octets]


def _page(code: int, content: bytes) -> bytes:
    return bytes([0, code, len(content) >> 8, len(content) & 255]) + content


def _standard(disk: Any) -> bytes:
    """Peripheral type, version, vendor, product and revision in their places (SPC-4, 6.4.2)."""
    words = f"{disk.vendor[:8]:8}{disk.model[:16]:16}{disk.revision[:4]:4}".encode()
    return (bytes([0, 0, 6, 2, _STANDARD - 5, 0, 0, 2]) + words).ljust(_STANDARD, b"\0")


def _descriptor(quality: str, name: str) -> Any:
    return data("ScsiLunDescriptor", quality=quality, id=name)
