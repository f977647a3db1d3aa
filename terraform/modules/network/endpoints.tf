locals {
  service_prefix = "com.amazonaws.${data.aws_region.current.name}"
  arn_prefix     = "arn:${data.aws_partition.current.partition}:s3:::"
}

data "aws_iam_policy_document" "s3_endpoint" {
  count = local.s3_endpoint ? 1 : 0

  dynamic "statement" {
    for_each = length(var.s3_access.read_write) > 0 ? [var.s3_access.read_write] : []

    content {
      sid       = "ReadAndWriteOurBuckets"
      actions   = ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
      resources = flatten([for arn in statement.value : [arn, "${arn}/*"]])

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.s3_access.read_only) > 0 ? [var.s3_access.read_only] : []

    content {
      sid       = "ReadDataBuckets"
      actions   = ["s3:ListBucket", "s3:GetObject"]
      resources = flatten([for arn in statement.value : [arn, "${arn}/*"]])

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.network.amazon_linux_repositories ? [1] : []

    content {
      sid     = "InstallAmazonLinuxPackages"
      actions = ["s3:GetObject"]
      # https://docs.aws.amazon.com/linux/al2023/ug/managing-repos-os-updates.html: one such bucket a region
      resources = ["${local.arn_prefix}al2023-repos-${data.aws_region.current.name}-de612dc2/*"]

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }

  dynamic "statement" {
    for_each = contains(var.network.interface_endpoints, "ecr.dkr") ? [1] : []

    content {
      sid     = "PullImageLayers"
      actions = ["s3:GetObject"]
      # ECR keeps image layers in this bucket of its own: without it the ecr.dkr endpoint cannot pull.
      resources = ["${local.arn_prefix}prod-${data.aws_region.current.name}-starport-layer-bucket/*"]

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }

  # All of S3 goes through the endpoint, what the way out is for included: packages, image layers, pictures at S3 addresses.
  dynamic "statement" {
    for_each = local.internet ? [1] : []

    content {
      sid       = "ReadWhatTheWayOutLeadsTo"
      actions   = ["s3:GetObject"]
      resources = ["*"]

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }
}

resource "aws_vpc_endpoint" "s3" {
  count = local.s3_endpoint ? 1 : 0

  vpc_id            = local.vpc_id
  service_name      = "${local.service_prefix}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_table_ids
  policy            = data.aws_iam_policy_document.s3_endpoint[0].json

  tags = { Name = "${var.prefix}-s3" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.network.interface_endpoints

  vpc_id              = local.vpc_id
  service_name        = "${local.service_prefix}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true

  tags = { Name = "${var.prefix}-${each.key}" }
}
