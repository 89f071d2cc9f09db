"""Kernel modules of an ESXi 8.0.3 host that have options, as people know them from VMware's knowledge base."""

from __future__ import annotations

MODULES: tuple[str, ...] = (
    "bnxtnet", "brcmfcoe", "elxnet", "i40en", "icen", "igbn", "iscsi_vmk", "ixgben", "lpfc", "lsi_mr3", "lsi_msgpt3",
    "ne1000", "nfs41client", "nfsclient", "nmlx5_core", "nvme_pcie", "nvmetcp", "qedentv", "qlnativefc", "tcpip4",
    "vmfs3", "vmkusb", "vmw_ahci", "vsan",
)
