# Access from one account to another's bucket takes both sides: our role's policy (data_reader_policy) and the owner's
# bucket policy (data_bucket_policy), and the same pair again for an encryption key.

locals {
  data_external = local.data_mode == "external" && length(var.data_reader_role_arns) > 0

  # Null lists and reads the whole bucket.
  data_keys = local.data_mode == "none" ? [] : ["${local.data.arn}/${local.data_folder}*"]
  list_only = local.data_folder == "" ? [] : ["${local.data_folder}*"]

  # training_job → TrainingJob: a statement's name takes letters and digits only.
  readers = { for actor, arn in var.data_reader_role_arns : join("", [for word in split("_", actor) : title(word)]) => arn }
}

data "aws_iam_policy_document" "data_reader" {
  count = local.data_mode == "none" ? 0 : 1

  statement {
    sid       = "ListData"
    actions   = ["s3:ListBucket"]
    resources = [local.data.arn]

    dynamic "condition" {
      for_each = local.list_only

      content {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = [condition.value]
      }
    }
  }

  statement {
    sid       = "ReadData"
    actions   = ["s3:GetObject"]
    resources = local.data_keys
  }

  dynamic "statement" {
    for_each = local.data.kms_key_arn == null ? [] : [local.data.kms_key_arn]

    content {
      sid       = "DecryptData"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["s3.*.amazonaws.com"]
      }
    }
  }
}

data "aws_iam_policy_document" "data_bucket" {
  count = local.data_external ? 1 : 0

  dynamic "statement" {
    for_each = local.readers

    content {
      sid       = "${statement.key}ListsData"
      actions   = ["s3:ListBucket"]
      resources = [local.data.arn]

      principals {
        type        = "AWS"
        identifiers = [statement.value]
      }

      dynamic "condition" {
        for_each = local.list_only

        content {
          test     = "StringLike"
          variable = "s3:prefix"
          values   = [condition.value]
        }
      }
    }
  }

  dynamic "statement" {
    for_each = local.readers

    content {
      sid       = "${statement.key}ReadsData"
      actions   = ["s3:GetObject"]
      resources = local.data_keys

      principals {
        type        = "AWS"
        identifiers = [statement.value]
      }
    }
  }
}

data "aws_iam_policy_document" "data_key" {
  count = local.data_external && try(local.data.kms_key_arn, null) != null ? 1 : 0

  dynamic "statement" {
    for_each = local.readers

    content {
      sid     = "${statement.key}Decrypts"
      actions = ["kms:Decrypt"]
      # In a key's policy * means that key.
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = [statement.value]
      }

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["s3.*.amazonaws.com"]
      }
    }
  }
}
