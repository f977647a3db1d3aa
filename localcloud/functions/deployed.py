"""moto's Lambda function, with a configuration that is checked, kept whole, and can be run."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.awslambda.utils import get_backend

from localcloud import interfaces
from localcloud.authorization import Denied
from localcloud.functions import deployment as rules
from localcloud.functions.deployment import Deployment
from localcloud.functions.errors import InvalidParameterValue, NotImplementedHere

_NOT_IMPLEMENTED = ("DeadLetterConfig", "FileSystemConfigs", "DurableConfig", "TenancyConfig")


class DeployedFunction(LambdaFunction):
    """$LATEST, or by moto's `copy.copy` a published version."""

    def __init__(self, account_id: str, spec: dict[str, Any], region: str, version: str) -> None:
        self.revision = str(uuid.uuid4())
        self.logging_config: dict[str, str] = {}
        self.interfaces: list[str] = []  # in its VPC
        _check(spec)
        super().__init__(account_id, spec, region, version=version)
        self.logging_config = self._logging(spec.get("LoggingConfig") or {})

    def deployment(self) -> Deployment:
        arn = ":".join(self.function_arn.split(":")[:7])
        configuration = super().get_configuration()
        return Deployment(
            account_id=self.account_id,
            region=self.region,
            name=self.function_name,
            version=str(self.version),
            revision=self.revision,
            arn=arn,
            runtime=self.run_time or "",
            handler=self.handler or "",
            role=self.role,
            memory=int(self.memory_size),
            timeout=float(self.timeout),
            variables=dict(self.environment_vars),
            code=getattr(self, "code_bytes", b""),
            logging=self.logging_config,
            refusal=rules.refusal(configuration),
            subnets=tuple((self.vpc_config or {}).get("SubnetIds") or ()),
            groups=tuple((self.vpc_config or {}).get("SecurityGroupIds") or ()),
            tracing=(self.tracing_config or {}).get("Mode") == "Active",
        )

    def attach(self, before: list[str]) -> None:
        """Make what it needs in its subnets, in the name of its role; `before`: the interfaces that it had.

        Raises:
            InvalidParameterValue: Lambda cannot take the role on, or the role may not.
        """
        actor = self.deployment().actor
        if not actor.assumable():
            raise InvalidParameterValue("The role defined for the function cannot be assumed by Lambda.")
        try:
            made = interfaces.attach(actor, f"AWS Lambda VPC ENI-{self.function_name}")
        except Denied as error:
            call = error.message.partition("perform: ec2:")[2].partition(" ")[0]
            raise InvalidParameterValue(
                f"The provided execution role does not have permissions to call {call} on EC2"
            ) from error
        interfaces.detach(actor, before)
        self.interfaces = made

    def update_configuration(self, config_updates: dict[str, Any]) -> dict[str, Any]:
        _check(config_updates)
        super().update_configuration(config_updates)
        # moto ignores these.
        if "EphemeralStorage" in config_updates:
            self.ephemeral_storage = config_updates["EphemeralStorage"]["Size"]
        if "TracingConfig" in config_updates:
            self.tracing_config = config_updates["TracingConfig"]
        if "KMSKeyArn" in config_updates:
            self.kms_key_arn = config_updates["KMSKeyArn"]
        if "LoggingConfig" in config_updates:
            self.logging_config = self._logging(config_updates["LoggingConfig"])
        if config_updates.keys() & {"Role", "VpcConfig"}:
            self.attach(self.interfaces)
        self.revision = str(uuid.uuid4())
        return self.get_configuration()

    def update_function_code(self, updated_spec: dict[str, Any]) -> dict[str, Any]:
        if "Architectures" in updated_spec:
            self.architectures = updated_spec["Architectures"]
        super().update_function_code(updated_spec)
        return self.get_configuration()

    def _set_function_code(self, updated_spec: dict[str, Any]) -> None:
        before = {**self.__dict__, "code": dict(self.code)}
        try:
            super()._set_function_code(updated_spec)
        except ValueError as error:  # bad base64, or moto's way to say that the S3 object is missing
            raise InvalidParameterValue(str(error.args[-1])) from error
        problem = None
        if "S3Key" in updated_spec and not self.code_bytes:
            problem = (
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: "
                "The specified key does not exist."
            )
        elif "ImageUri" not in self.code:
            problem = rules.check_code(self.code_bytes)
        if problem:
            self.__dict__ = before  # what worked goes on working
            raise InvalidParameterValue(problem)
        self.revision = str(uuid.uuid4())

    def get_configuration(self, on_create: bool = False) -> dict[str, Any]:
        configuration: dict[str, Any] = super().get_configuration(on_create)
        configuration["RevisionId"] = self.revision
        configuration["LoggingConfig"] = self.logging_config
        configuration["LastUpdateStatus"] = "Successful"
        return configuration

    def get_code(self) -> dict[str, Any]:
        answer: dict[str, Any] = super().get_code()
        if self.reserved_concurrency is not None:  # moto leaves 0 out
            answer["Concurrency"] = {"ReservedConcurrentExecutions": self.reserved_concurrency}
        return answer

    def invoke(self, body: str, request_headers: Any, response_headers: Any) -> bytes:
        """For moto's other services (SNS, log subscriptions, streams): they do not wait, as theirs on AWS."""
        del request_headers, response_headers
        backend: Any = get_backend(self.account_id, self.region)  # an ExecutingLambdaBackend
        backend.enqueue(self.function_name, str(self.version), body.encode())
        return b""

    def __deepcopy__(self, memo: dict[int, Any]) -> DeployedFunction:
        """moto makes deep copies to list functions; with them would go the whole of CloudWatch Logs."""
        return copy.copy(self)

    def _logging(self, config: dict[str, Any]) -> dict[str, str]:
        logging = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        logging |= {name: value for name, value in config.items() if value}
        if logging["LogFormat"] == "JSON":
            logging = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **logging}
        elif {"ApplicationLogLevel", "SystemLogLevel"} & logging.keys():
            raise InvalidParameterValue("Log levels can only be set with LogFormat JSON.")
        return logging


def _check(spec: dict[str, Any]) -> None:
    for name in _NOT_IMPLEMENTED:
        if any((spec.get(name) or {}).values() if isinstance(spec.get(name), dict) else spec.get(name) or []):
            raise NotImplementedHere(f"The embedded cloud does not implement {name} of a Lambda function.")
    if (spec.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        raise NotImplementedHere("The embedded cloud does not implement SnapStart.")
    problem = rules.check_variables((spec.get("Environment") or {}).get("Variables") or {})
    if problem:
        raise InvalidParameterValue(problem)
