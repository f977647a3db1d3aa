# One run for each validation; every other value is one that it permits.

mock_provider "aws" {}

variables {
  prefix                = "kennel-dev"
  instance_profile_name = "kennel-dev-training"
  wheelhouse_uri        = "s3://kennel-dev-artifacts/wheelhouse/"
  network = {
    subnet_id            = "subnet-0000000000000000a"
    security_group_ids   = ["sg-0000000000000000a"]
    internet             = true
    package_repositories = true
    session_manager      = true
  }
}

run "a_prefix_with_capitals_is_refused" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "a_sagemaker_type_is_refused" {
  command = plan

  variables {
    training_instance = { instance_type = "ml.m5.xlarge" }
  }

  expect_failures = [var.training_instance]
}

run "too_small_a_disk_is_refused" {
  command = plan

  variables {
    training_instance = { volume_gb = 8 }
  }

  expect_failures = [var.training_instance]
}

run "a_key_by_id_instead_of_arn_is_refused" {
  command = plan

  variables {
    training_instance = { kms_key_arn = "0a1b" }
  }

  expect_failures = [var.training_instance]
}

run "an_unknown_source_of_packages_is_refused" {
  command = plan

  variables {
    training_instance = { install_from = "conda" }
  }

  expect_failures = [var.training_instance]
}

run "pypi_without_a_way_out_is_refused" {
  command = plan

  variables {
    training_instance = { install_from = "pypi" }
    network = {
      subnet_id            = "subnet-0000000000000000a"
      security_group_ids   = ["sg-0000000000000000a"]
      internet             = false
      package_repositories = true
      session_manager      = true
    }
  }

  expect_failures = [var.training_instance]
}

run "a_python_that_the_image_does_not_have_is_refused" {
  command = plan

  variables {
    training_instance = { python = "3.9" }
  }

  expect_failures = [var.training_instance]
}

run "an_unpinned_package_is_refused" {
  command = plan

  variables {
    training_instance = { packages = ["torch"] }
  }

  expect_failures = [var.training_instance]
}

run "no_security_group_is_refused" {
  command = plan

  variables {
    network = {
      subnet_id            = "subnet-0000000000000000a"
      security_group_ids   = []
      internet             = true
      package_repositories = true
      session_manager      = true
    }
  }

  expect_failures = [var.network]
}

run "repositories_out_of_reach_are_refused" {
  command = plan

  variables {
    network = {
      subnet_id            = "subnet-0000000000000000a"
      security_group_ids   = ["sg-0000000000000000a"]
      internet             = false
      package_repositories = false
      session_manager      = true
    }
  }

  expect_failures = [var.network]
}

run "session_manager_out_of_reach_is_refused" {
  command = plan

  variables {
    network = {
      subnet_id            = "subnet-0000000000000000a"
      security_group_ids   = ["sg-0000000000000000a"]
      internet             = false
      package_repositories = true
      session_manager      = false
    }
  }

  expect_failures = [var.network]
}

run "a_retention_that_cloudwatch_does_not_know_is_refused" {
  command = plan

  variables {
    training_instance = { log_retention_days = 31 }
  }

  expect_failures = [var.training_instance]
}

run "a_profile_by_arn_instead_of_name_is_refused" {
  command = plan

  variables {
    instance_profile_name = "arn:aws:iam::123456789012:instance-profile/training"
  }

  expect_failures = [var.instance_profile_name]
}

run "a_wheelhouse_that_is_no_folder_is_refused" {
  command = plan

  variables {
    wheelhouse_uri = "s3://kennel-dev-artifacts/wheelhouse"
  }

  expect_failures = [var.wheelhouse_uri]
}
