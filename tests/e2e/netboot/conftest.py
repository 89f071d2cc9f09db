"""Which of the two forms runs here: whoever may make network namespaces tests in one, everybody else without.

Nobody tests both, since a boot takes its time; FLEET_NETBOOT=user or namespace chooses.
`test_midwife` needs namespaces.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.netboot.guest import image
from tests.support.places import session_folder
from tests.support.tools import need


def _form() -> str:
    chosen = os.environ.get("FLEET_NETBOOT", "")
    if not chosen:
        tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
        chosen = "user" if tried.returncode else "namespace"
    return chosen


collect_ignore = ["test_namespace.py", "test_midwife.py"] if _form() == "user" else ["test_user_mode.py"]


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the image that the machines boot."""
    need("qemu-system-x86_64")
    return image(session_folder(tmp_path_factory.getbasetemp()))
