"""Notebook instances as moto has them: they change their state, and nothing runs in them.

What the platform does for one in the name of its role is done: its network interface, and its log.
"""

from __future__ import annotations

from typing import Any

from moto.sagemaker.exceptions import ValidationError

from localcloud import interfaces, logs
from localcloud.actors import Actor
from localcloud.authorization import Denied
from localcloud.sagemaker.components.backend import ComponentBackend
from localcloud.sagemaker.records import SERVICE

LOG_GROUP = "/aws/sagemaker/NotebookInstances"
_NOT_RUN = "The embedded cloud runs no notebook instances: the lifecycle configuration {} was not run."


class NotebookBackend(ComponentBackend):
    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.notebook_settings: dict[str, dict[str, Any]] = {}  # those that moto drops, and a FailureReason
        self._notebook_interfaces: dict[str, list[str]] = {}

    def create_notebook_instance(self, notebook_instance_name: str, *given: Any, **named: Any) -> Any:
        notebook = super().create_notebook_instance(notebook_instance_name, *given, **named)
        actor = self._notebook_actor(notebook)
        if not actor.assumable():
            del self.notebook_instances[notebook_instance_name]
            raise ValidationError(
                f"Could not assume role {actor.role}. Please ensure that the role exists and allows principal "
                f"'{SERVICE}' to assume the role."
            )
        self._start(notebook, actor)
        return notebook

    def start_notebook_instance(self, notebook_instance_name: str) -> None:
        super().start_notebook_instance(notebook_instance_name)
        notebook = self.get_notebook_instance(notebook_instance_name)
        self._start(notebook, self._notebook_actor(notebook))

    def stop_notebook_instance(self, notebook_instance_name: str) -> None:
        super().stop_notebook_instance(notebook_instance_name)
        self._detach(notebook_instance_name)

    def delete_notebook_instance(self, notebook_instance_name: str) -> None:
        self._detach(notebook_instance_name)
        super().delete_notebook_instance(notebook_instance_name)
        self.notebook_settings.pop(notebook_instance_name, None)

    def _detach(self, name: str) -> None:
        actor = self._notebook_actor(self.get_notebook_instance(name))
        interfaces.detach(actor, self._notebook_interfaces.pop(name, []))

    def _start(self, notebook: Any, actor: Actor) -> None:
        name = notebook.notebook_instance_name
        settings = self.notebook_settings.setdefault(name, {})
        settings.pop("FailureReason", None)
        try:
            if not self._notebook_interfaces.get(name):
                self._notebook_interfaces[name] = interfaces.attach(
                    actor, f"SageMaker notebook instance {name}"
                )
        except Denied as error:
            notebook.status = "Failed"
            settings["FailureReason"] = (
                f"Access denied when creating a network interface in your VPC: {error.message}"
            )
            return
        configuration = notebook.lifecycle_config_name
        stream = logs.Stream(
            actor.account_id,
            actor.region,
            LOG_GROUP,
            f"{name}/LifecycleConfigOnStart",
            returns=True,
            actor=actor,
            looks=True,
        )
        if configuration:
            stream.write([_NOT_RUN.format(configuration)])

    def _notebook_actor(self, notebook: Any) -> Actor:
        return Actor(
            role=notebook.role_arn,
            account_id=self.account_id,
            region=self.region_name,
            service=SERVICE,
            arn=notebook.arn,
            subnets=(notebook.subnet_id,) if notebook.subnet_id else (),
            groups=tuple(notebook.security_group_ids or ()),
        )
