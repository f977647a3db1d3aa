"""CloudFormation's operations, less the choices that are not implemented here."""

from __future__ import annotations

from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult

_REFUSED = {
    "OnFailure": ("DO_NOTHING", "DELETE"),
    "DisableRollback": (True, "true"),
}


class CloudFormation(CloudFormationResponse):
    def create_stack(self) -> ActionResult:
        self._refuse("CreateStack")
        return super().create_stack()

    def update_stack(self) -> ActionResult:
        self._refuse("UpdateStack")
        return super().update_stack()

    def _refuse(self, operation: str) -> None:
        for name, values in _REFUSED.items():
            if self._get_param(name) in values:
                raise NotImplementedError(f"{operation} with {name} {self._get_param(name)}")
