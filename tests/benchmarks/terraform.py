"""The same work done by Terraform, with its built-in `terraform_data` resource: no provider is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Cost, cost_of

QUIET = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_CONFIG_FILE": "/dev/null"}
PROVIDER = 'provider["terraform.io/builtin/terraform"]'


def _attributes(n: int) -> dict[str, str]:
    return {f"a{k}": f"value {n}.{k}" for k in range(10)}


def _instance(n: int, key: str | None = None) -> dict[str, Any]:
    value = {"value": _attributes(n), "type": ["object", {f"a{k}": "string" for k in range(10)}]}
    instance: dict[str, Any] = {
        "schema_version": 0, "sensitive_attributes": [],
        "attributes": {"id": f"00000000-0000-4000-8000-{n:012d}", "input": value, "output": value,
                       "triggers_replace": None},
    }
    return instance if key is None else {"index_key": key, **instance}


def _resource(name: str, instances: list[dict[str, Any]], each: str | None = None) -> dict[str, Any]:
    found = {"mode": "managed", "type": "terraform_data", "name": name, "provider": PROVIDER, "instances": instances}
    return found if each is None else {**found, "each": each}


def _write(folder: Path, main: str, resources: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(main)
    if resources:
        state = {"version": 4, "terraform_version": "1.11.0", "serial": 1,
                 "lineage": "00000000-0000-4000-8000-000000000000", "outputs": {}, "resources": resources}
        (folder / "terraform.tfstate").write_text(json.dumps(state))
    cost_of(["terraform", "init", "-input=false"], folder, QUIET)


def _block(n: int) -> str:
    attributes = "".join(f'    {k} = "{v}"\n' for k, v in _attributes(n).items())
    return f'resource "terraform_data" "o{n}" {{\n  input = {{\n{attributes}  }}\n}}\n'


PLAN = ["terraform", "plan", "-input=false", "-detailed-exitcode", "-no-color"]


def noop_plan(folder: Path, size: int) -> Cost:
    """A plan over `size` blocks whose state already says the same: exit code 0, nothing to change."""
    _write(folder, "".join(map(_block, range(size))), [_resource(f"o{n}", [_instance(n)]) for n in range(size)])
    return cost_of(PLAN, folder, QUIET)


def for_each_plan(folder: Path, size: int) -> Cost:
    """The same by one block with `for_each`."""
    attributes = "".join(f'    a{k} = "value ${{each.value}}.{k}"\n' for k in range(10))
    main = (f'resource "terraform_data" "o" {{\n  for_each = {{ for n in range({size}) : "k${{n}}" => n }}\n'
            f"  input = {{\n{attributes}  }}\n}}\n")
    instances = sorted((_instance(n, f"k{n}") for n in range(size)), key=lambda i: str(i["index_key"]))
    _write(folder, main, [_resource("o", instances, "map")])
    return cost_of(PLAN, folder, QUIET)


def apply_bookkeeping(folder: Path, size: int) -> Cost:
    """Apply that creates `size` resources, each instantly."""
    _write(folder, "".join(map(_block, range(size))), [])
    return cost_of(["terraform", "apply", "-input=false", "-auto-approve", "-no-color"], folder, QUIET)
