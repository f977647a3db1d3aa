mock_provider "aws" {}

variables {
  prefix = "kennel-dev"
  images = ["serving", "training"]
}

run "a_repository_is_scanned_and_its_tags_never_move" {
  command = plan

  assert {
    condition = alltrue([
      for image, repository in aws_ecr_repository.this :
      repository.name == "kennel-dev-${image}" && repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push
    ])
    error_message = "A repository's tags move, or nobody scans its images."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.force_delete])
    error_message = "A repository with an image in it outlives a destroy."
  }
}

run "no_tagged_image_expires" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_ecr_lifecycle_policy.this : [for rule in jsondecode(policy.policy).rules : rule.selection.tagStatus == "untagged"]
    ]))
    error_message = "An image that an endpoint may start instances of can expire."
  }
}

run "without_images_there_is_nothing" {
  command = plan

  variables {
    images = []
  }

  assert {
    condition     = length(aws_ecr_repository.this) == 0 && length(aws_ecr_lifecycle_policy.this) == 0
    error_message = "There is a repository that nobody asked for."
  }
}
