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

  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
}

variables {
  stage = "dev"
  ci    = { github = { repository = "org/photos" } }
}

run "a_github_run_plans_from_a_pull_request_and_from_the_branch" {
  command = plan

  assert {
    condition     = one([for condition in data.aws_iam_policy_document.trust["plan"].statement[0].condition : condition.values if endswith(condition.variable, ":sub")]) == tolist(["repo:org/photos:pull_request", "repo:org/photos:ref:refs/heads/main"])
    error_message = "Somebody else may plan, or a pull request may not."
  }

  assert {
    condition     = alltrue([for condition in data.aws_iam_policy_document.trust["plan"].statement[0].condition : condition.test == "StringEquals"])
    error_message = "The trust in GitHub has a pattern in it."
  }
}

run "a_github_run_applies_from_the_stages_environments_alone" {
  command = plan

  assert {
    condition     = one([for condition in data.aws_iam_policy_document.trust["apply"].statement[0].condition : condition.values if endswith(condition.variable, ":sub")]) == tolist(["repo:org/photos:environment:dev", "repo:org/photos:environment:dev-approval"])
    error_message = "Something else than the stage's environments may apply."
  }
}

run "the_audience_is_checked" {
  command = plan

  assert {
    condition     = alltrue([for document in data.aws_iam_policy_document.trust : contains([for condition in document.statement[0].condition : condition.variable], "token.actions.githubusercontent.com:aud")])
    error_message = "A token for somebody else is accepted."
  }
}

run "a_repository_with_its_numbers_is_trusted_by_them" {
  command = plan

  variables {
    ci = { github = { repository = "org@12/photos@34" } }
  }

  assert {
    condition     = contains(flatten([for condition in data.aws_iam_policy_document.trust["plan"].statement[0].condition : condition.values]), "repo:org@12/photos@34:pull_request")
    error_message = "The numbers are lost."
  }
}

run "a_gitlab_run_plans_from_any_branch_and_applies_from_one" {
  command = plan

  variables {
    ci = { gitlab = { project = "group/sub/photos" }, branch = "release" }
  }

  assert {
    condition     = contains(flatten([for condition in data.aws_iam_policy_document.trust["plan"].statement[0].condition : condition.values]), "project_path:group/sub/photos:ref_type:branch:ref:*")
    error_message = "A merge request's branch may not plan."
  }

  assert {
    condition     = contains(flatten([for condition in data.aws_iam_policy_document.trust["apply"].statement[0].condition : "${condition.test} ${condition.variable} ${condition.values[0]}"]), "StringEquals gitlab.com:sub project_path:group/sub/photos:ref_type:branch:ref:release")
    error_message = "Another branch may apply."
  }
}

run "a_provider_that_the_account_has_is_used" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.forge) == 0 && output.oidc_provider_arn == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    error_message = "A second provider is made for the same issuer, which IAM refuses."
  }
}

run "who_plans_has_no_right_to_write_anything_but_locks_and_plans" {
  command = plan

  assert {
    condition     = keys(aws_iam_role_policy_attachment.plan) == ["read", "state"]
    error_message = "The role that plans has more than reading rights."
  }

  assert {
    condition = alltrue([
      for action in flatten(data.aws_iam_policy_document.read.statement[*].actions) :
      can(regex("^[a-z0-9-]+:(Describe|Get|List)[A-Za-z]+$", action))
    ])
    error_message = "Something in the reading rights writes, or is a pattern."
  }
}

run "who_applies_changes_in_the_network_what_carries_the_stages_tag" {
  command = plan

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.network.statement :
      contains([for condition in statement.condition : "${condition.test} ${condition.variable} ${one(condition.values)}"], "StringEquals aws:ResourceTag/kennel:stage kennel-dev")
      if length(setintersection(statement.actions, ["ec2:DeleteVpc", "ec2:DeleteTags", "ec2:DeleteVolume", "ec2:TerminateInstances", "ec2:ModifyInstanceAttribute"])) > 0
    ])
    error_message = "What is another's can be changed."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.network.statement : length(statement.condition) > 0 if contains(statement.actions, "ec2:CreateTags")])
    error_message = "Anything can be given the stage's tag."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.network.statement : statement.actions == toset(["ec2:DescribeImages"]) if contains(statement.resources, "*")])
    error_message = "A right to change the network is on everything."
  }
}

run "with_a_boundary_every_role_that_an_apply_makes_carries_it" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, permissions_boundary_arn = "arn:aws:iam::123456789012:policy/bound" }
  }

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.roles.statement :
      contains([for condition in statement.condition : condition.variable], "iam:PermissionsBoundary") if contains(statement.actions, "iam:PutRolePolicy")
    ])
    error_message = "A role can be made without the boundary."
  }
}

run "two_forges_are_refused" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, gitlab = { project = "org/photos" } }
  }

  expect_failures = [var.ci]
}

run "a_repository_with_a_wildcard_is_refused" {
  command = plan

  variables {
    ci = { github = { repository = "org/*" } }
  }

  expect_failures = [var.ci]
}

run "a_project_without_a_group_is_refused" {
  command = plan

  variables {
    ci = { gitlab = { project = "photos" } }
  }

  expect_failures = [var.ci]
}

run "an_issuer_without_tls_is_refused" {
  command = plan

  variables {
    ci = { gitlab = { project = "org/photos", issuer = "http://gitlab.example.com" } }
  }

  expect_failures = [var.ci]
}

run "a_pattern_of_branches_is_refused" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, branch = "release/*" }
  }

  expect_failures = [var.ci]
}

run "a_providers_name_instead_of_its_arn_is_refused" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, provider_arn = "token.actions.githubusercontent.com" }
  }

  expect_failures = [var.ci]
}

run "a_boundarys_name_instead_of_its_arn_is_refused" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, permissions_boundary_arn = "bound" }
  }

  expect_failures = [var.ci]
}

run "half_a_day_is_refused" {
  command = plan

  variables {
    ci = { github = { repository = "org/photos" }, plan_days = 0.5 }
  }

  expect_failures = [var.ci]
}
