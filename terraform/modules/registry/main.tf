resource "aws_ecr_repository" "this" {
  for_each = var.images

  name                 = "${var.prefix}-${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # images are built again from the sources; a repository that holds one outlives a destroy otherwise

  image_scanning_configuration {
    scan_on_push = true
  }
}

# Only what lost its tag goes by itself: a tagged image may be the one that an endpoint scales out with.
resource "aws_ecr_lifecycle_policy" "this" {
  for_each = aws_ecr_repository.this

  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Images without a tag, which failed pushes leave"
      selection = {
        tagStatus   = "untagged"
        countType   = "sinceImagePushed"
        countUnit   = "days"
        countNumber = 14
      }
      action = { type = "expire" }
    }]
  })
}
