mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  prefix = "kennel-dev"
  artifacts = {
    bucket_arn        = "arn:aws:s3:::kennel-dev-artifacts"
    models_prefix     = "models/"
    captures_prefix   = "captures/"
    scratch_prefix    = "training/"
    wheelhouse_prefix = "wheelhouse/"
  }
  network = {
    subnet_ids         = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1"]
  }
  lambda = {
    endpoint_name = "kennel-dev"
    log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify"
  }
  training_image_repository_arns = ["arn:aws:ecr:us-east-1:763104351884:repository/pytorch-training"]
}

run "refuses_a_prefix_in_upper_case" {
  command = plan

  variables {
    prefix = "Kennel-dev"
  }

  expect_failures = [var.prefix]
}

run "refuses_a_boundary_that_is_no_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:role/boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "refuses_a_bucket_name_for_its_arn" {
  command = plan

  variables {
    artifacts = { bucket_arn = "kennel-dev-artifacts", models_prefix = "models/", captures_prefix = "captures/", scratch_prefix = "training/", wheelhouse_prefix = "wheelhouse/" }
  }

  expect_failures = [var.artifacts]
}

run "refuses_a_key_id_for_its_arn" {
  command = plan

  variables {
    artifacts = { bucket_arn = "arn:aws:s3:::kennel-dev-artifacts", models_prefix = "models/", captures_prefix = "captures/", scratch_prefix = "training/", wheelhouse_prefix = "wheelhouse/", kms_key_arn = "alias/kennel" }
  }

  expect_failures = [var.artifacts]
}

run "refuses_a_folder_that_is_the_whole_bucket" {
  command = plan

  variables {
    artifacts = { bucket_arn = "arn:aws:s3:::kennel-dev-artifacts", models_prefix = "", captures_prefix = "captures/", scratch_prefix = "training/", wheelhouse_prefix = "wheelhouse/" }
  }

  expect_failures = [var.artifacts]
}

run "refuses_a_folder_without_its_slash" {
  command = plan

  variables {
    artifacts = { bucket_arn = "arn:aws:s3:::kennel-dev-artifacts", models_prefix = "models/", captures_prefix = "captures/", scratch_prefix = "training", wheelhouse_prefix = "wheelhouse/" }
  }

  expect_failures = [var.artifacts]
}

run "refuses_a_folder_with_a_wildcard" {
  command = plan

  variables {
    artifacts = { bucket_arn = "arn:aws:s3:::kennel-dev-artifacts", models_prefix = "models/", captures_prefix = "captures/", scratch_prefix = "training/", wheelhouse_prefix = "*/" }
  }

  expect_failures = [var.artifacts]
}

run "refuses_a_data_policy_that_is_no_json" {
  command = plan

  variables {
    data_reader_policy = "s3:GetObject"
  }

  expect_failures = [var.data_reader_policy]
}

run "refuses_a_network_without_subnets" {
  command = plan

  variables {
    network = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }

  expect_failures = [var.network]
}

run "refuses_a_network_without_groups" {
  command = plan

  variables {
    network = { subnet_ids = ["subnet-1"], security_group_ids = [] }
  }

  expect_failures = [var.network]
}

run "refuses_an_image_that_is_not_in_ecr" {
  command = plan

  variables {
    endpoint = { image = "docker.io/kennel:1", log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/x" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_an_endpoint_with_a_wildcard" {
  command = plan

  variables {
    lambda = { endpoint_name = "*", log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify" }
  }

  expect_failures = [var.lambda]
}

run "refuses_a_log_group_name_for_its_arn" {
  command = plan

  variables {
    lambda = { endpoint_name = "kennel-dev", log_group_arn = "/aws/lambda/kennel" }
  }

  expect_failures = [var.lambda]
}

run "refuses_log_groups_with_a_wildcard_for_the_training_instance" {
  command = plan

  variables {
    training_instance = { log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:*" }
  }

  expect_failures = [var.training_instance]
}

run "refuses_training_images_with_a_wildcard" {
  command = plan

  variables {
    training_image_repository_arns = ["arn:aws:ecr:us-east-1:763104351884:repository/*"]
  }

  expect_failures = [var.training_image_repository_arns]
}

run "refuses_an_inference_component_that_would_widen_the_grant" {
  command = plan

  variables {
    lambda = { endpoint_name = "kennel-dev", inference_component = "*", log_group_arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/kennel-dev-classify" }
  }

  expect_failures = [var.lambda]
}
