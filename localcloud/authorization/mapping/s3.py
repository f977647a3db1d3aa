"""S3: actions that have other names than operations, and conditions of listings, encryption and tags.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from localcloud.authorization import reference
from localcloud.authorization.asks import Ask
from localcloud.authorization.calls import Call
from localcloud.authorization.mapping.generic import Unmapped, tag_keys

_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration": "PutInventoryConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketMetricsConfiguration": "PutMetricsConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration": "GetAnalyticsConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "GetInventoryConfiguration",
    "GetBucketLifecycle": "GetLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketMetricsConfiguration": "GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "PutBucketAnalyticsConfiguration": "PutAnalyticsConfiguration",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketIntelligentTieringConfiguration": "PutIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration": "PutInventoryConfiguration",
    "PutBucketLifecycle": "PutLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketMetricsConfiguration": "PutMetricsConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketReplication": "PutReplicationConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
_OF_VERSIONS = {  # with a versionId in the request
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectAttributes": "GetObjectVersionAttributes",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
_HEADERS = (
    "x-amz-acl", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-grant-full-control", "x-amz-grant-read",
    "x-amz-metadata-directive", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class", "x-amz-website-redirect-location",
)  # fmt: skip
# What moto takes for the same without its query: to delete the bucket, to read the object.
MISTAKEN = (
    "DeleteBucketAnalyticsConfiguration", "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration", "DeleteBucketMetadataConfiguration",
    "DeleteBucketMetadataTableConfiguration", "DeleteBucketMetricsConfiguration", "GetObjectRetention",
    "GetObjectTorrent",
)  # fmt: skip
_WRITES = ("PutObject", "CopyObject", "CreateMultipartUpload")


def asks(call: Call) -> list[Ask]:
    name = _ACTIONS.get(call.operation, call.operation)
    params = call.params
    version = params.get("VersionId")
    if version and call.operation != "CopyObject":
        name = _OF_VERSIONS.get(name, name)
    if reference.action("s3", name) is None:
        raise Unmapped(f"s3:{call.operation}")
    bucket, key = params.get("Bucket"), params.get("Key")
    context = _context(call)
    if not bucket:
        return [Ask(f"s3:{name}", "*", context)]
    of_bucket = f"arn:aws:s3:::{bucket}"
    if call.operation == "DeleteObjects":
        return list(_deletions(params, of_bucket, context))
    found = [Ask(f"s3:{name}", f"{of_bucket}/{key}" if key else of_bucket, context)]
    if call.operation in ("CopyObject", "UploadPartCopy"):
        found.append(_source(params, context))
    if call.operation in _WRITES:
        found += _with_the_object(call, found[0].resource, context)
    if call.operation == "CreateBucket" and params.get("ObjectLockEnabledForBucket"):
        found += [
            Ask("s3:PutBucketObjectLockConfiguration", of_bucket),
            Ask("s3:PutBucketVersioning", of_bucket),
        ]
    if key:
        found += _keys_of(call, str(bucket), str(key))
    return found


def _context(call: Call) -> dict[str, list[str]]:
    params = call.params
    context = {f"s3:{name}": [call.headers[name]] for name in _HEADERS if name in call.headers}
    if call.operation in ("ListObjects", "ListObjectsV2", "ListObjectVersions"):
        for name, key in (("Prefix", "s3:prefix"), ("Delimiter", "s3:delimiter"), ("MaxKeys", "s3:max-keys")):
            if params.get(name) is not None:
                context[key] = [str(params[name])]
    if params.get("VersionId"):
        context["s3:versionid"] = [str(params["VersionId"])]
    if call.operation == "CreateBucket":
        where = params.get("CreateBucketConfiguration") or {}
        context["s3:locationconstraint"] = [str(where.get("LocationConstraint") or call.region)]
    given = params.get("Tagging")
    tags = dict(parse_qsl(given)) if isinstance(given, str) else {}
    if isinstance(given, Mapping):
        tags = {one["Key"]: one.get("Value", "") for one in given.get("TagSet") or []}
    for key, value in tags.items():
        context[f"s3:requestobjecttag/{key.lower()}"] = [value]
    if tags:
        context["s3:requestobjecttagkeys"] = list(tags)
    return context | tag_keys({"Tags": tags} if "Bucket" in call.operation else {})


def _deletions(params: Mapping[str, Any], of_bucket: str, context: dict[str, list[str]]) -> Iterable[Ask]:
    for one in (params.get("Delete") or {}).get("Objects") or []:
        action = "s3:DeleteObjectVersion" if one.get("VersionId") else "s3:DeleteObject"
        yield Ask(action, f"{of_bucket}/{one.get('Key')}", context)


def _source(params: Mapping[str, Any], context: dict[str, list[str]]) -> Ask:
    path, query = _copied(params)
    action = "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"
    return Ask(action, f"arn:aws:s3:::{path}", context)


def _copied(params: Mapping[str, Any]) -> tuple[str, Mapping[str, list[str]]]:
    """Bucket and key of a copy's source, and its query, as moto divides them."""
    source = urlsplit(str(params.get("CopySource", "")))
    return unquote(source.path).lstrip("/"), parse_qs(source.query)


def _with_the_object(call: Call, resource: str, context: dict[str, list[str]]) -> list[Ask]:
    """What else is set with an object takes its own right."""
    params, found = call.params, []
    if params.get("Tagging"):
        found.append(Ask("s3:PutObjectTagging", resource, context))
    if params.get("ACL") or any(name.startswith("x-amz-grant-") for name in call.headers):
        found.append(Ask("s3:PutObjectAcl", resource, context))
    if params.get("ObjectLockMode"):
        found.append(Ask("s3:PutObjectRetention", resource, context))
    if params.get("ObjectLockLegalHoldStatus"):
        found.append(Ask("s3:PutObjectLegalHold", resource, context))
    return found


def _keys_of(call: Call, bucket: str, key: str) -> list[Ask]:
    """The KMS keys that an object is encrypted with."""
    found = []
    if call.operation in (*_WRITES, "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"):
        encryption = call.params.get("ServerSideEncryption")
        named = call.params.get("SSEKMSKeyId")
        named = named or ("" if encryption == "AES256" else default_key(bucket))
        if named:
            action = "kms:GenerateDataKey" if call.operation in _WRITES else "kms:Decrypt"
            found.append(_key_ask(action, str(named), call, bucket, key))
    if call.operation in ("GetObject", "HeadObject"):
        named = object_key(bucket, key)
        if named:
            found.append(_key_ask("kms:Decrypt", named, call, bucket, key))
    if call.operation == "CopyObject":
        from_bucket, _, from_key = _copied(call.params)[0].partition("/")
        named = object_key(from_bucket, from_key)
        if named:
            found.append(_key_ask("kms:Decrypt", named, call, from_bucket, from_key))
    return found


def _key_ask(action: str, named: str, call: Call, bucket: str, key: str) -> Ask:
    from localcloud.authorization.mapping.kms import key_arn

    context = {
        "kms:viaservice": [f"s3.{call.region}.amazonaws.com"],
        "kms:calleraccount": [call.account],
        "kms:encryptioncontext:aws:s3:arn": [f"arn:aws:s3:::{bucket}/{key}"],
        "aws:calledvia": ["s3.amazonaws.com"],
        "aws:viaawsservice": ["true"],
    }
    return Ask(action, key_arn(named, call.region, call.account), context)


def default_key(bucket: str) -> str:
    """The customer's key that a bucket encrypts with; "" for S3's own."""
    found = _bucket(bucket)
    rules = ((found.encryption or {}) if found is not None else {}).get("Rule", {})
    default = (rules[0] if isinstance(rules, list) else rules).get("ApplyServerSideEncryptionByDefault", {})
    named = str(default.get("KMSMasterKeyID") or "")
    return (
        named
        if default.get("SSEAlgorithm", "").startswith("aws:kms") and not named.endswith("alias/aws/s3")
        else ""
    )


def object_key(bucket: str, key: str) -> str:
    found = _bucket(bucket)
    stored = found.keys.get(key) if found is not None else None
    if stored is None or not str(getattr(stored, "encryption", "") or "").startswith("aws:kms"):
        return ""
    return str(stored.kms_key_id or "")


def exists(bucket: str, key: str) -> bool:
    found = _bucket(bucket)
    return found is not None and key in found.keys


def _bucket(name: str) -> Any:
    from moto.s3.models import s3_backends

    owner = s3_backends.bucket_accounts.get(name)
    return s3_backends[owner[1]][owner[0]].buckets.get(name) if owner else None
