mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  prefix = "kennel-dev"
}

run "the_artifact_bucket_keeps_what_is_in_it" {
  command = plan

  assert {
    condition     = aws_s3_bucket.artifacts.bucket == "kennel-dev-artifacts-123456789012" && !aws_s3_bucket.artifacts.force_destroy
    error_message = "The bucket is not named from prefix and account, or a destroy would empty it."
  }

  assert {
    condition     = { for name, folder in output.folders : name => folder.prefix } == { models = "models/", captures = "captures/", wheelhouse = "wheelhouse/", scratch = "training/" }
    error_message = "The bucket's folders are not the documented ones."
  }
}

run "an_archive_is_kept_under_its_digest" {
  command = plan

  variables {
    archives = { "0000000000000000000000000000000000000000000000000000000000000001" = "/somewhere/model.tar.gz" }
  }

  assert {
    condition = (
      aws_s3_object.archive["0000000000000000000000000000000000000000000000000000000000000001"].key
      == "models/0000000000000000000000000000000000000000000000000000000000000001/model.tar.gz"
    )
    error_message = "The archive's key is not its digest."
  }

  assert {
    condition = (
      aws_s3_object.archive["0000000000000000000000000000000000000000000000000000000000000001"].source_hash
      == "0000000000000000000000000000000000000000000000000000000000000001"
    )
    error_message = "A changed archive would not be noticed."
  }
}

run "without_a_data_bucket_nobody_gets_a_policy" {
  command = plan

  assert {
    condition     = output.data_bucket == null && output.data_reader_policy == null && output.data_bucket_policy == null && output.data_key_policy == null
    error_message = "There is a policy for a data bucket that there is not."
  }
}

run "a_data_bucket_of_ours_is_never_emptied" {
  command = plan

  variables {
    data_bucket           = {}
    data_reader_role_arns = { training_job = "arn:aws:iam::123456789012:role/kennel-dev-training" }
  }

  assert {
    condition     = aws_s3_bucket.data[0].bucket == "kennel-dev-data-123456789012" && !aws_s3_bucket.data[0].force_destroy
    error_message = "The data bucket is not named from prefix and account, or a destroy would empty it."
  }

  assert {
    condition     = output.data_bucket_policy == null
    error_message = "A bucket of our own account needs no policy from the other side."
  }
}

run "an_existing_data_bucket_is_left_as_it_is" {
  command = apply

  variables {
    data_bucket = { mode = "existing", name = "photos" }
  }

  assert {
    condition     = length(aws_s3_bucket.data) + length(module.data_bucket) == 0
    error_message = "Something was made or changed in a bucket that is there already."
  }

  assert {
    condition     = output.data_bucket.arn == "arn:aws:s3:::photos" && output.data_bucket.uri == "s3://photos/"
    error_message = "The output does not name the bucket."
  }

  assert {
    condition     = data.aws_iam_policy_document.data_reader[0].statement[1].resources == toset(["arn:aws:s3:::photos/*"])
    error_message = "Readers cannot read the whole bucket."
  }

  assert {
    condition     = length(data.aws_iam_policy_document.data_reader[0].statement[0].condition) == 0
    error_message = "Readers cannot list the whole bucket."
  }
}

run "readers_see_one_folder_of_another_accounts_bucket" {
  command = apply

  variables {
    data_bucket = { mode = "external", name = "photos", account_id = "210987654321", key_prefix = "dogImages/" }
    data_reader_role_arns = {
      training_job = "arn:aws:iam::123456789012:role/kennel-dev-training"
      notebook     = "arn:aws:iam::123456789012:role/kennel-dev-notebook"
    }
  }

  assert {
    condition = [for statement in data.aws_iam_policy_document.data_bucket[0].statement : statement.sid] == [
      "NotebookListsData", "TrainingJobListsData", "NotebookReadsData", "TrainingJobReadsData",
    ]
    error_message = "The other side does not have a statement for each reader and right."
  }

  assert {
    condition = alltrue([
      for statement in concat(data.aws_iam_policy_document.data_bucket[0].statement, data.aws_iam_policy_document.data_reader[0].statement) :
      contains(statement.actions, "s3:GetObject") ? statement.resources == toset(["arn:aws:s3:::photos/dogImages/*"]) : statement.resources == toset(["arn:aws:s3:::photos"])
    ])
    error_message = "A side reads more than the folder."
  }

  assert {
    condition = alltrue([
      for statement in concat(data.aws_iam_policy_document.data_bucket[0].statement, data.aws_iam_policy_document.data_reader[0].statement) :
      one(statement.condition).values == tolist(["dogImages/*"]) if contains(statement.actions, "s3:ListBucket")
    ])
    error_message = "A side lists more than the folder."
  }

  assert {
    condition     = one(data.aws_iam_policy_document.data_bucket[0].statement[0].principals).identifiers == toset(["arn:aws:iam::123456789012:role/kennel-dev-notebook"])
    error_message = "The statement is not for its reader alone."
  }

  assert {
    condition     = length(data.aws_iam_policy_document.data_key) == 0
    error_message = "There is a key policy without a key."
  }
}

run "both_sides_decrypt_with_the_datas_key_through_s3" {
  command = apply

  variables {
    data_bucket = {
      mode = "external", name = "photos", account_id = "210987654321", kms_key_arn = "arn:aws:kms:eu-west-1:210987654321:key/0a1b"
    }
    data_reader_role_arns = { training_job = "arn:aws:iam::123456789012:role/kennel-dev-training" }
  }

  assert {
    condition     = data.aws_iam_policy_document.data_reader[0].statement[2].resources == toset(["arn:aws:kms:eu-west-1:210987654321:key/0a1b"])
    error_message = "Our side may not decrypt with the key, or with more than it."
  }

  assert {
    condition = alltrue([
      for statement in concat(data.aws_iam_policy_document.data_key[0].statement, [data.aws_iam_policy_document.data_reader[0].statement[2]]) :
      statement.actions == toset(["kms:Decrypt"]) && one(statement.condition).variable == "kms:ViaService"
    ])
    error_message = "A side does more with the key than decrypt what S3 reads."
  }
}
