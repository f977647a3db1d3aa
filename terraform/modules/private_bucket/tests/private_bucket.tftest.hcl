mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  bucket = { id = "photos", arn = "arn:aws:s3:::photos" }
}

run "nothing_public_gets_through" {
  command = apply

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Public access is not blocked in every way."
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "Objects can belong to others, or have ACLs."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket is not versioned."
  }
}

run "requests_without_tls_are_denied_for_bucket_and_objects" {
  command = apply

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.this.statement :
      statement.effect == "Deny" && statement.actions == toset(["s3:*"]) && statement.resources == toset(["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"])
    ])
    error_message = "A statement does not deny everything for the bucket and its objects."
  }

  assert {
    condition = flatten([for statement in data.aws_iam_policy_document.this.statement : [for condition in statement.condition : condition.variable]]) == [
      "aws:SecureTransport", "s3:TlsVersion",
    ]
    error_message = "The statements are not about TLS and its version."
  }
}

run "objects_are_encrypted_with_s3s_keys_by_default" {
  command = apply

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Objects are not encrypted with S3's own keys."
  }
}

run "objects_are_encrypted_with_a_key_by_choice" {
  command = apply

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
  }

  assert {
    condition = (
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
      && one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    )
    error_message = "Objects are not encrypted with the key, or each of them costs a call to KMS."
  }
}

run "nothing_but_unfinished_uploads_expires_by_default" {
  command = apply

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this[0].rule : rule.id] == ["abort-unfinished-uploads"]
    error_message = "Something expires that nobody asked to."
  }
}

run "old_versions_and_named_folders_expire_by_choice" {
  command = apply

  variables {
    noncurrent_days = 30
    expirations     = { expire-scratch = { prefix = "training/", days = 14 } }
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this[0].rule : rule.id] == ["abort-unfinished-uploads", "expire-noncurrent-versions", "expire-scratch"]
    error_message = "A lifecycle rule is missing."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this[0].rule[2].filter[0].prefix == "training/" && aws_s3_bucket_lifecycle_configuration.this[0].rule[2].expiration[0].days == 14
    error_message = "The scratch folder does not expire after 14 days."
  }
}

run "with_nothing_that_expires_there_is_no_lifecycle_configuration" {
  command = apply

  variables {
    abort_upload_days = null
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this) == 0
    error_message = "There is a lifecycle configuration without rules, which S3 refuses."
  }
}

run "a_folder_of_secrets_expires_with_its_old_versions" {
  command = apply

  variables {
    expirations = { expire-plans = { prefix = "plans/", days = 30, noncurrent_days = 1 } }
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this[0].rule[1].noncurrent_version_expiration[0].noncurrent_days == 1
    error_message = "What has expired stays as an old version."
  }
}
