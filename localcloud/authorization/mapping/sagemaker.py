"""SageMaker: names in ARNs are in lower case, and requests have conditions of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import generic

_KEYS = {  # by lower-case parameter, wherever it stands in the request
    "instancetype": "sagemaker:instancetypes",
    "subnets": "sagemaker:vpcsubnets",
    "securitygroupids": "sagemaker:vpcsecuritygroupids",
    "enablenetworkisolation": "sagemaker:networkisolation",
    "enableintercontainertrafficencryption": "sagemaker:intercontainertrafficencryption",
    "volumekmskeyid": "sagemaker:volumekmskey",
    "maxruntimeinseconds": "sagemaker:maxruntimeinseconds",
    "directinternetaccess": "sagemaker:directinternetaccess",
    "rootaccess": "sagemaker:rootaccess",
    "minimuminstancemetadataserviceversion": "sagemaker:minimuminstancemetadataserviceversion",
}


def asks(call: Call) -> list[Ask]:
    found = _asks(call)
    return [_in_lower_case(one) for one in found]


def _asks(call: Call) -> list[Ask]:
    keys = {key: call.flat[name] for name, key in _KEYS.items() if name in call.flat}
    output = call.params.get("OutputDataConfig") or call.params.get("TransformOutput")
    if isinstance(output, Mapping) and output.get("KmsKeyId"):
        keys["sagemaker:outputkmskey"] = [output["KmsKeyId"]]
    for name in _model_names(call):
        keys.setdefault("sagemaker:modelarn", []).append(
            f"arn:aws:sagemaker:{call.region}:{call.account}:model/{name.lower()}"
        )
    if call.operation.startswith("List") and call.operation != "ListTags":
        parents = {"ListTrainingJobsForHyperParameterTuningJob"}
        if call.operation not in parents:
            call = replace(call, params={})  # filters by name are not the resource
    return generic.asks(call, more=keys)


def invocation(account: str, region: str, operation: str, endpoint: str, component: str) -> list[Ask]:
    """On the endpoint, and on the inference component that is asked."""
    base, action = f"arn:aws:sagemaker:{region}:{account}", f"sagemaker:{operation}"
    found = [Ask(action, f"{base}:endpoint/{endpoint.lower()}")]
    if component:
        found.append(Ask(action, f"{base}:inference-component/{component.lower()}"))
    return found


def _model_names(call: Call) -> list[str]:
    if call.operation not in ("CreateEndpointConfig", "CreateTransformJob"):
        return []
    return call.flat.get("modelname", [])


def _in_lower_case(ask: Ask) -> Ask:
    if not ask.resource.startswith("arn:aws:sagemaker:"):
        return ask
    *head, tail = ask.resource.split(":", 5)
    return replace(ask, resource=":".join([*head, tail.lower()]))
