"""Runs under the kit's own Python: compiles some modules, and all that they import, into a folder.

Usage: guest_python.py FOLDER MODULE... Files keep their place below the standard library; a `.pyc` beside which there
is no source needs none.
"""

import importlib
import os
import sys


def main(folder: str, *names: str) -> None:
    for name in names:
        importlib.import_module(name)
    library = os.path.dirname(os.__file__)
    paths = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]

    import py_compile  # only now: it is not part of what the modules need
    import shutil

    for path in paths:
        if not path.startswith(library + os.sep):
            continue
        target = os.path.join(folder, os.path.relpath(path, library))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if path.endswith(".py"):
            py_compile.compile(path, target + "c", dfile=os.path.relpath(path, library), doraise=True)
        else:
            shutil.copyfile(path, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
