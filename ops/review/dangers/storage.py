"""What may lose data, or show it to others: buckets, keys, archives, images."""

from __future__ import annotations

from collections.abc import Iterator

from ops.review import grants, holders, spoken
from ops.review.dangers.rule import Hit, Scene, rule
from ops.review.resources import Resource, first
from ops.review.spoken import listed

BUCKET = "aws_s3_bucket"
VERSIONING = "aws_s3_bucket_versioning"
ENCRYPTION = "aws_s3_bucket_server_side_encryption_configuration"
BLOCK = "aws_s3_bucket_public_access_block"
LIFECYCLE = "aws_s3_bucket_lifecycle_configuration"
RULE = ("rule", 0, "apply_server_side_encryption_by_default", 0)
FOREVER = 10**6  # days: no rule deletes it
TLS = ("aws:securetransport", "s3:tlsversion")


@rule(
    "bucket-destroyed",
    "danger",
    when="a bucket is destroyed or replaced.",
    why="What is in it is lost, all versions of it, or the apply fails halfway because it is not empty.",
    remedy=(
        "Copy what is needed first, or take the bucket out of the plan (`terraform state rm`) and keep it."
    ),
)
def bucket_destroyed(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(BUCKET):
        if one.goes:
            how = "replaced by an empty one" if one.action == "replace" else "destroyed"
            yield one.address, f"The bucket {one.called('bucket')} is {how}."


@rule(
    "force-destroy-on",
    "danger",
    when="a bucket may from now on be destroyed with all that is in it.",
    why=(
        "S3's refusal to delete a bucket that is not empty is the last thing between a wrong plan and the "
        "loss."
    ),
    remedy="Leave artifacts.force_destroy = false: ./inv destroy empties what is ours by itself.",
)
def force_destroy(scene: Scene) -> Iterator[Hit]:
    for one in scene.of(BUCKET):
        if one.before and not one.was("force_destroy") and one.will("force_destroy"):
            yield one.address, f"The bucket {one.called('bucket')} may be destroyed while full from now on."


@rule(
    "versioning-off",
    "danger",
    when="a bucket stops keeping earlier versions.",
    why="What is overwritten or deleted by mistake is then lost at once.",
    remedy="Keep it Enabled; artifacts.noncurrent_days limits what old versions cost.",
)
def versioning(scene: Scene) -> Iterator[Hit]:
    for one in _of_kept_buckets(scene, VERSIONING):
        path = ("versioning_configuration", 0, "status")
        if one.was(*path) == "Enabled" and one.will(*path) != "Enabled":
            yield (
                one.address,
                f"Versioning of the bucket {one.called('bucket')} becomes {one.will(*path) or 'unset'}.",
            )


@rule(
    "encryption-weakened",
    "danger",
    when="a bucket's encryption with a key of ours, or as a whole, goes.",
    why="Whoever may read the bucket reads its objects then, without a right to the key besides.",
    remedy="Keep artifacts.kms_key_arn.",
)
def encryption(scene: Scene) -> Iterator[Hit]:
    for one in _of_kept_buckets(scene, ENCRYPTION):
        before, after = one.was(*RULE, "sse_algorithm"), one.will(*RULE, "sse_algorithm")
        if str(before).startswith("aws:kms") and not str(after).startswith("aws:kms"):
            how = f"with S3's own keys ({after})" if after else "by default only"
            yield (
                one.address,
                f"What is written to {one.called('bucket')} is encrypted {how}, no longer with a KMS key.",
            )
        elif one.action == "destroy":
            yield one.address, f"The bucket {one.called('bucket')} no longer says how it is encrypted."


@rule(
    "public-access-allowed",
    "danger",
    when="the block of public access is taken from a bucket, in part or as a whole.",
    why="One wrong policy or access list is then enough to show photos and models to everybody.",
    remedy="Keep all four switches on; nothing here needs a public bucket.",
)
def public_access(scene: Scene) -> Iterator[Hit]:
    switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    for one in _of_kept_buckets(scene, BLOCK):
        off = [name for name in switches if one.was(name) and not one.will(name)]
        if off:
            how = "goes" if not one.after else f"loses {', '.join(off)}"
            yield one.address, f"The block of public access of {one.called('bucket')} {how}."


@rule(
    "tls-not-required",
    "danger",
    when="a bucket's policy no longer refuses requests without TLS, or with an old version of it.",
    why="Photos and credentials' signatures may then pass the network in the clear.",
    remedy="Keep the statements DenyWithoutTLS and DenyOldTLS of modules/private_bucket.",
)
def tls(scene: Scene) -> Iterator[Hit]:
    for one in _of_kept_buckets(scene, "aws_s3_bucket_policy"):
        if not holders.known(one):
            continue
        before, after = grants.read(one.was("policy")), grants.read(one.will("policy"))
        gone = [grant for grant in grants.added(after, before) if is_tls(grant)]
        if gone:
            what = listed(sorted({spoken.conditions(sorted(grant.conditions)) for grant in gone}))
            yield one.address, f"The bucket {one.called('bucket')} no longer refuses requests {what}."


def is_tls(grant: grants.Grant) -> bool:
    """Tell whether a grant is the refusal of requests without TLS."""
    return grant.effect == "Deny" and any(key.lower() in TLS for _, key, _ in grant.conditions)


@rule(
    "archive-in-use-destroyed",
    "danger",
    when="the archive of the model that serves is deleted while the endpoint goes on serving it.",
    why="An instance that is added or replaced fetches the archive again, and cannot start without it.",
    remedy="Keep it in retained_models until the endpoint serves another.",
)
def archive(scene: Scene) -> Iterator[Hit]:
    deployed, model = scene.facts.deployed, scene.facts.model
    served = {one.sha256 for one in (deployed, model) if one is not None}
    serves = any(one.after for one in scene.of("aws_sagemaker_endpoint"))
    for one in scene.of("aws_s3_object"):
        digest = next((sha256 for sha256 in served if sha256 in str(one.was("key"))), None)
        if one.action == "destroy" and digest and serves:
            what = (
                "serves now, and serves on until the update has ended"
                if deployed and deployed.sha256 == digest
                else "is to serve"
            )
            yield one.address, f"The archive {digest[:12]}… of the model that {what} goes."


@rule(
    "objects-expire-sooner",
    "danger",
    when=(
        "a lifecycle rule deletes objects, or their earlier versions, sooner than before or for the first "
        "time."
    ),
    why="S3 then deletes what is that old already, and nothing brings it back.",
    remedy="See what lies there: models/ holds what the endpoint fetches at every start.",
)
def expiry(scene: Scene) -> Iterator[Hit]:
    for one in _of_kept_buckets(scene, LIFECYCLE):
        if not one.knows("rule"):
            continue
        before, after = _expirations(one.before), _expirations(one.after)
        for (prefix, kind), days in after.items():
            if one.before and days < before.get((prefix, kind), FOREVER):
                was = before.get((prefix, kind))
                where = f"below {prefix}" if prefix else "in the whole bucket"
                instead = f"instead of {was}" if was else "instead of never"
                yield (
                    one.address,
                    f"{kind} {where} are deleted after {days} day{'s' * (days != 1)} {instead}.",
                )


@rule(
    "key-destroyed",
    "danger",
    when="a KMS key is scheduled for deletion, or switched off.",
    why="All that was ever encrypted with it cannot be read any more, old versions and copies included.",
    remedy="Keep it as long as anything is encrypted with it; a key costs a dollar a month.",
)
def key_destroyed(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_kms_key"):
        if one.goes:
            yield one.address, f"The key {one.called('key_id', 'arn')} is scheduled for deletion."
        elif one.becomes("is_enabled") == (True, False):
            yield one.address, f"The key {one.called('key_id', 'arn')} is switched off."


@rule(
    "key-changed",
    "danger",
    when="a bucket is encrypted with another key than before, and the roles lose the right to the old one.",
    why=(
        "What is in the bucket stays encrypted with the old key: archives to serve and to go back to "
        "cannot be read."
    ),
    remedy=(
        "Leave the roles the right to the old key, or copy the objects over themselves first (aws s3 cp "
        "--recursive)."
    ),
)
def key_changed(scene: Scene) -> Iterator[Hit]:
    for one in _of_kept_buckets(scene, ENCRYPTION):
        old, new = one.was(*RULE, "kms_master_key_id"), one.will(*RULE, "kms_master_key_id")
        if old and old != new and _loses(scene, old):
            yield (
                one.address,
                f"{one.called('bucket')} holds objects encrypted with {_short(old)}; roles may use {_short(new)} only.",
            )


@rule(
    "images-destroyed",
    "danger",
    when="a repository of container images is destroyed or replaced.",
    why=(
        "Instances that start later cannot pull what they are to run; earlier models lose the image that "
        "they ran in."
    ),
    remedy="Keep it while any model names an image in it.",
)
def images(scene: Scene) -> Iterator[Hit]:
    for one in scene.of("aws_ecr_repository"):
        if one.goes:
            yield one.address, f"The repository {one.called('name')} goes, with its images."


def _of_kept_buckets(scene: Scene, kind: str) -> list[Resource]:
    """Return a bucket's settings that are there already, of the buckets that stay."""
    going = {one.called("bucket") for one in scene.of(BUCKET) if one.goes}
    return [
        one
        for one in scene.of(kind)
        if one.before and one.action != "keep" and one.was("bucket") not in going
    ]


def _expirations(state: dict[str, object]) -> dict[tuple[str, str], int]:
    """Return the days until deletion by prefix and by what is deleted."""
    found: dict[tuple[str, str], int] = {}
    rules = state.get("rule")
    for one in rules if isinstance(rules, list) else []:
        if one.get("status") != "Enabled":
            continue
        filters = one.get("filter") or [{}]
        prefix = (filters[0] or {}).get("prefix") or one.get("prefix") or ""
        for block, field, kind in (
            ("expiration", "days", "Objects"),
            ("noncurrent_version_expiration", "noncurrent_days", "Earlier versions"),
        ):
            days = ((one.get(block) or [{}])[0] or {}).get(field)
            if days:
                found[prefix, kind] = int(days)
    return found


def _loses(scene: Scene, key: str) -> bool:
    """Tell whether a role that may use the key will not."""
    roles = first(
        scene.of("aws_iam_role_policy"),
        lambda one: (
            one.action != "keep" and key in str(one.was("policy")) and key not in str(one.will("policy"))
        ),
    )
    return roles is not None


def _short(key: str | None) -> str:
    return f"the key {key.rpartition('/')[2]}" if key else "no key"
