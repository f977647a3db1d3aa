"""moto's CloudFormation backend with stacks whose operations take as long as what they make."""

from __future__ import annotations

from typing import Any, cast

from moto.cloudformation.exceptions import AlreadyExistsException, ValidationError
from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.utils import generate_stack_id

from localcloud.cloudformation.stack import Stack


class Backend(CloudFormationBackend):
    def create_stack(
        self,
        name: str,
        template: str,
        parameters: dict[str, Any],
        notification_arns: list[str] | None = None,
        tags: dict[str, str] | None = None,
        role_arn: str | None = None,
        enable_termination_protection: bool | None = False,
        timeout_in_mins: int | None = None,
        stack_policy_body: str | None = None,
    ) -> Stack:
        if name in [stack.name for stack in self.stacks.values()]:
            raise AlreadyExistsException(f"Stack [{name}] already exists")
        stack = Stack(
            stack_id=generate_stack_id(name, self.region_name, self.account_id),
            name=name,
            template=template,
            parameters=parameters,
            account_id=self.account_id,
            region_name=self.region_name,
            notification_arns=notification_arns,
            tags=tags,
            role_arn=role_arn,
            enable_termination_protection=enable_termination_protection,
            timeout_in_mins=timeout_in_mins,
            stack_policy_body=stack_policy_body,
        )
        self.stacks[stack.stack_id] = stack
        stack.begin_creation()
        return stack

    def update_stack(
        self,
        name: str,
        template: str,
        role_arn: str | None,
        parameters: list[dict[str, Any]],
        tags: dict[str, str] | None,
    ) -> Stack:
        stack = cast(Stack, self.get_stack(name))
        resolved = self._resolve_update_parameters(instance=stack, incoming_params=parameters)
        stack.begin_update(template, role_arn, resolved, tags)
        return stack

    def delete_stack(self, name_or_stack_id: str) -> None:
        stack = next(
            (one for one in self.stacks.values() if name_or_stack_id in (one.name, one.stack_id)), None
        )
        if stack is None:  # no error of AWS's either
            return
        if stack.enable_termination_protection:
            raise ValidationError(
                message=f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )

        def forget() -> None:
            self.deleted_stacks[stack.stack_id] = stack
            self.stacks.pop(stack.stack_id, None)

        cast(Stack, stack).begin_deletion(forget)

    def create_change_set(self, *_: Any, **__: Any) -> tuple[str, str]:
        raise NotImplementedError("moto only pretends to carry change sets out")

    def create_stack_set(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("moto only pretends to carry stack sets out")
