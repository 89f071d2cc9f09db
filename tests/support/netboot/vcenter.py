"""What a person does at vCenter while the test runs. As a program, inside of the network that reaches it:

    vcenter SERVER USER PASSWORD look                   hosts and what runs on them, as JSON
    vcenter SERVER USER PASSWORD retire HOST            take that host out of service, and of vCenter
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from typing import Any


def connect(server: str, user: str, password: str) -> Any:
    from pyVmomi import vim
    from pyVmomi.SoapAdapter import SoapStubAdapter

    host, _, port = server.rpartition(":")
    stub = SoapStubAdapter(host=host, port=int(port), path="/sdk", sslContext=ssl._create_unverified_context(),
                           version="vim.version.version9")
    content: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    content.sessionManager.Login(user, password)
    return content


def hosts(content: Any) -> list[Any]:
    return [host for each in content.rootFolder.childEntity[0].hostFolder.childEntity for host in each.host]


def look(content: Any) -> dict[str, Any]:
    """Name → connection, maintenance, names of running VMs, and MTU by vSwitch where the host can be asked."""
    return {host.name: {
        "connection": host.runtime.connectionState, "maintenance": host.runtime.inMaintenanceMode,
        "vms": sorted(vm.name for vm in host.vm if vm.runtime.powerState == "poweredOn"),
        "uuid": host.hardware.systemInfo.uuid if host.hardware is not None else "",
        "mtu": {each.name: each.mtu for each in host.config.network.vswitch} if host.config is not None else {},
    } for host in hosts(content)}


def retire(content: Any, name: str) -> None:
    """Its VMs move away first."""
    host = next(each for each in hosts(content) if each.name == name)
    done(host.EnterMaintenanceMode_Task(60))
    done(host.Destroy_Task())


def done(task: Any) -> None:
    while task.info.state not in ("success", "error"):
        time.sleep(0.05)
    if task.info.state == "error":
        raise task.info.error


def main(server: str, user: str, password: str, verb: str, *names: str) -> None:
    content = connect(server, user, password)
    if verb == "retire":
        retire(content, *names)
    print(json.dumps(look(content)))


if __name__ == "__main__":
    main(*sys.argv[1:])
