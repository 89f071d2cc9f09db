"""Tasks: what `…_Task` methods return. With no fault rule a task has succeeded or failed by the time it is returned."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from pyVmomi import VmomiSupport as Vm
from pyVmomi import vim, vmodl

from providers.twin.core.base import Handler, ManagedObject, World, method, prop
from providers.twin.core.clock import moment
from providers.twin.core.context import Context, calling, current
from providers.twin.core.faults import Verdict
from providers.twin.core.meta import NS, MethodFault, copy_value, data
from providers.twin.core.paths import answer

_KEPT = 2000  # finished tasks; vCenter forgets them after about ten minutes
_RECENT = 200


class Task(ManagedObject):
    """`vim.Task`: one running or finished operation on `target`."""

    wire = "Task"

    def __init__(self, world: World, moid: str, target: ManagedObject, info: Any, *, cancelable: bool) -> None:
        super().__init__(world, moid)
        self.target = target.entity.ref().__class__, target.entity.moid
        self.target_name = target.entity.name
        self.description_id = f"{target.wire}.{Vm.Uncapitalize(info.name)}"
        self.wire_method = info.wsdlName
        self.result_type = info.methodResult
        self.cancelable = cancelable
        self.cancelled = False
        self.state = "running"
        self.result: Any = None
        self.error: Any = None
        session = current().session
        self.user = session.user if session else ""
        self.queued = moment(world.clock)
        self.completed: Any = None

    def finish(self, state: str, *, result: Any = None, error: Any = None) -> None:
        self.state, self.result, self.error = state, result, error
        self.completed = moment(self.world.clock)

    @prop("info")
    def info(self) -> Any:
        kind, moid = self.target
        entity = kind(moid, current().stub) if issubclass(kind, vim.ManagedEntity) else None
        return data(
            "TaskInfo", key=self.moid, task=self.ref(), name=Vm.GetWsdlMethod(NS, self.wire_method),
            descriptionId=self.description_id, entity=entity, entityName=self.target_name or None, state=self.state,
            cancelled=self.cancelled, cancelable=self.cancelable and self.state == "running",
            error=copy_value(self.error), result=answer(self.result, self.result_type),
            progress=None if self.completed else 0, reason=data("TaskReasonUser", userName=self.user),
            queueTime=self.queued, startTime=self.queued, completeTime=self.completed, eventChainId=self.number)

    @prop("info.state")
    def info_state(self) -> Any:
        return self.state

    @prop("info.progress")
    def info_progress(self) -> int | None:
        return None if self.completed else 0

    @property
    def number(self) -> int:
        return int(self.moid.rpartition("-")[2])

    @method("CancelTask")
    def cancel(self) -> None:
        if self.state != "running":
            raise vim.fault.InvalidState(msg=f"The task {self.moid} has already ended.")
        if not self.cancelable:
            raise vmodl.fault.NotSupported(msg=f"{self.description_id} cannot be cancelled.")
        self.cancelled = True
        self.world.touch()


class TaskTable:
    """The tasks of a door, newest last."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: deque[Task] = deque()

    def run(self, target: ManagedObject, info: Any, handler: Handler, verdict: Verdict,
            effect: Callable[[], Any]) -> Task:
        """Start a task under the world's lock; it has ended on return unless a rule makes it slow."""
        world = self._world
        task = Task(world, world.next_id("task"), target, info, cancelable=handler.cancelable)
        world.add(task)
        self._tasks.append(task)
        if len(self._tasks) > _KEPT:
            world.discard(self._tasks.popleft())
        if verdict.task_seconds:
            session = current().session
            threading.Thread(target=self._later, args=(task, verdict, effect, Context(session)), daemon=True,
                             name=f"twin-{task.moid}").start()
        else:
            self._finish(task, verdict, effect)
        return task

    def _later(self, task: Task, verdict: Verdict, effect: Callable[[], Any], context: Context) -> None:
        self._world.clock.sleep(verdict.task_seconds)
        with calling(context), self._world.lock:
            self._finish(task, verdict, effect)

    def _finish(self, task: Task, verdict: Verdict, effect: Callable[[], Any]) -> None:
        try:
            if task.cancelled:
                raise vmodl.fault.RequestCanceled(msg="The task was canceled by a user.")
            verdict.fail_instead()
            task.finish("success", result=effect())
        except MethodFault as fault:
            task.finish("error", error=fault)
        finally:
            if task.state == "running":  # a bug of the twin is on its way up: nobody may wait for this task for ever
                task.finish("error", error=vmodl.fault.SystemError(reason="internal error of the twin"))
            self._world.touch()

    def recent(self, entity: ManagedObject | None = None) -> list[Task]:
        """The newest tasks, oldest first; those on one entity where given."""
        found = [each for each in self._tasks if entity is None or each.target[1] == entity.moid]
        return found[-_RECENT:]


class TaskManager(ManagedObject):
    """`vim.TaskManager` of a door."""

    wire = "TaskManager"

    def __init__(self, world: World, moid: str = "TaskManager") -> None:
        super().__init__(world, moid)

    @prop("recentTask")
    def recent_task(self) -> list[ManagedObject]:
        return list(self.world.tasks.recent())

    @prop("maxCollector")
    def max_collector(self) -> int:
        return 32
