# One run for each validation; every other value is one that it permits.

mock_provider "aws" {}

variables {
  prefix   = "kennel-dev"
  role_arn = "arn:aws:iam::123456789012:role/kennel-dev-notebook"
  network = {
    subnet_id          = "subnet-0000000000000000a"
    security_group_ids = ["sg-0000000000000000a"]
  }
}

run "a_prefix_with_capitals_is_refused" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "an_ec2_type_is_refused" {
  command = plan

  variables {
    notebook = { instance_type = "t3.medium" }
  }

  expect_failures = [var.notebook]
}

run "too_small_a_disk_is_refused" {
  command = plan

  variables {
    notebook = { volume_gb = 4 }
  }

  expect_failures = [var.notebook]
}

run "a_key_by_id_instead_of_arn_is_refused" {
  command = plan

  variables {
    notebook = { kms_key_arn = "0a1b" }
  }

  expect_failures = [var.notebook]
}

run "a_coffee_break_is_not_idle" {
  command = plan

  variables {
    notebook = { idle_stop_minutes = 5 }
  }

  expect_failures = [var.notebook]
}

run "no_security_group_is_refused" {
  command = plan

  variables {
    network = { subnet_id = "subnet-0000000000000000a", security_group_ids = [] }
  }

  expect_failures = [var.network]
}

run "a_role_by_name_instead_of_arn_is_refused" {
  command = plan

  variables {
    role_arn = "kennel-dev-notebook"
  }

  expect_failures = [var.role_arn]
}
