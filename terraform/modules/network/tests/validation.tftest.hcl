# One run for each validation; every other value is one that it permits.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  prefix    = "kennel-dev"
  s3_access = { read_write = ["arn:aws:s3:::kennel-dev-artifacts"] }
}

run "a_prefix_with_capitals_is_refused" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "an_unknown_mode_is_refused" {
  command = plan

  variables {
    network = { mode = "shared" }
  }

  expect_failures = [var.network]
}

run "an_existing_vpc_needs_subnets" {
  command = plan

  variables {
    network = { mode = "existing", vpc_id = "vpc-0123456789abcdef0" }
  }

  expect_failures = [var.network]
}

run "a_created_vpc_takes_no_id" {
  command = plan

  variables {
    network = { vpc_id = "vpc-0123456789abcdef0" }
  }

  expect_failures = [var.network]
}

run "a_malformed_vpc_id_is_refused" {
  command = plan

  variables {
    network = { mode = "existing", vpc_id = "default", subnet_ids = ["subnet-0000000000000000a"] }
  }

  expect_failures = [var.network]
}

run "a_malformed_subnet_id_is_refused" {
  command = plan

  variables {
    network = { mode = "existing", vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["public-1"] }
  }

  expect_failures = [var.network]
}

run "a_public_address_range_is_refused" {
  command = plan

  variables {
    network = { cidr = "8.8.0.0/16" }
  }

  expect_failures = [var.network]
}

run "an_address_within_a_range_is_refused" {
  command = plan

  variables {
    network = { cidr = "10.42.1.0/16" }
  }

  expect_failures = [var.network]
}

run "too_small_a_range_is_refused" {
  command = plan

  variables {
    network = { cidr = "10.42.0.0/25" }
  }

  expect_failures = [var.network]
}

run "no_zone_at_all_is_refused" {
  command = plan

  variables {
    network = { availability_zones = 0 }
  }

  expect_failures = [var.network]
}

run "an_unknown_way_out_is_refused" {
  command = plan

  variables {
    network = { internet = "proxy" }
  }

  expect_failures = [var.network]
}

run "a_created_vpc_has_no_way_out_of_its_own" {
  command = plan

  variables {
    network = { internet = "existing" }
  }

  expect_failures = [var.network]
}

run "a_gateway_in_a_default_vpc_is_refused" {
  command = plan

  variables {
    network = { mode = "default", internet = "nat" }
  }

  expect_failures = [var.network]
}

run "repositories_without_an_s3_endpoint_are_refused" {
  command = plan

  variables {
    network = { s3_endpoint = false, amazon_linux_repositories = true }
  }

  expect_failures = [var.network]
}

run "an_unknown_service_is_refused" {
  command = plan

  variables {
    network = { interface_endpoints = ["s3"] }
  }

  expect_failures = [var.network]
}

run "a_retention_that_cloudwatch_does_not_know_is_refused" {
  command = plan

  variables {
    network = { flow_log_retention_days = 31 }
  }

  expect_failures = [var.network]
}

run "a_bucket_by_name_instead_of_arn_is_refused" {
  command = plan

  variables {
    s3_access = { read_write = ["kennel-dev-artifacts"] }
  }

  expect_failures = [var.s3_access]
}

run "an_s3_endpoint_without_buckets_is_refused" {
  command = plan

  variables {
    s3_access = {}
  }

  expect_failures = [var.s3_access]
}

run "a_boundary_that_is_no_policy_is_refused" {
  command = plan

  variables {
    permissions_boundary_arn = "boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}
