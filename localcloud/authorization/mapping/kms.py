"""KMS: keys by id, ARN or alias."""

from __future__ import annotations

from typing import Any

from localcloud.authorization import reference
from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping import generic


def asks(call: Call) -> list[Ask]:
    known = reference.action("kms", call.operation)
    if known is None:
        raise generic.Unmapped(f"kms:{call.operation}")
    context = generic.tag_keys(call.params) | {"kms:calleraccount": [call.account]}
    encryption = call.params.get("EncryptionContext") or {}
    context |= {f"kms:encryptioncontext:{key}".lower(): [value] for key, value in encryption.items()}
    named = call.params.get("KeyId") or call.params.get("TargetKeyId")
    found = []
    if named:
        if str(named).partition(":key/")[0] and "alias/" in str(named):
            context["kms:requestalias"] = [str(named)[str(named).index("alias/") :]]
        found.append(Ask(f"kms:{call.operation}", key_arn(str(named), call.region, call.account), context))
    elif call.params.get("CiphertextBlob"):
        found.append(Ask(f"kms:{call.operation}", f"arn:aws:kms:{call.region}:{call.account}:key/*", context))
    alias = call.params.get("AliasName")
    if alias:
        found.append(
            Ask(f"kms:{call.operation}", f"arn:aws:kms:{call.region}:{call.account}:{alias}", context)
        )
    if not found:
        found.append(Ask(f"kms:{call.operation}", "*", context))
    return found + generic.tagging(call, known, context, found)


def key_arn(named: str, region: str, account: str) -> str:
    from moto.kms.models import kms_backends

    if named.startswith("arn:"):
        region, account = named.split(":")[3:5]
    backend: Any = kms_backends[account][region]
    if "alias/" in named:
        alias = named[named.index("alias/") :]
        named = backend.get_key_id_from_alias(alias) or named
        if named == alias or "alias/" in named:
            return f"arn:aws:kms:{region}:{account}:{alias}"
    identifier = named.rpartition("/")[2]
    return f"arn:aws:kms:{region}:{account}:key/{identifier}"
