# One run for each validation; every other value is one that it permits.

mock_provider "aws" {}

variables {
  prefix = "kennel-dev"
  images = ["serving"]
}

run "a_prefix_with_capitals_is_refused" {
  command = plan

  variables {
    prefix = "Kennel"
  }

  expect_failures = [var.prefix]
}

run "an_image_of_something_else_is_refused" {
  command = plan

  variables {
    images = ["serving", "lambda"]
  }

  expect_failures = [var.images]
}
