"""The script: probes in order, each on what those before it left.

What it asks is what fleet's types rely on: which faults, in which cases, and that what a call sets is what is read.
"""

from __future__ import annotations

import importlib

from tests.contract.differential.probing import PROBES, UNREACHED, answers

__all__ = ["PROBES", "UNREACHED", "answers"]

for _name in ("of_containers", "of_vcenter", "of_hosts", "of_switches"):  # their order is that of the calls
    importlib.import_module(f"tests.contract.differential.{_name}")
