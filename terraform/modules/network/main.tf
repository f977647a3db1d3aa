locals {
  create = var.network.mode == "create"

  # Null stands for "in a created VPC only"; see the variable.
  s3_endpoint = coalesce(var.network.s3_endpoint, local.create)
  internet    = var.network.internet != "none"
  gateway     = contains(["public", "nat"], var.network.internet)
  nat         = var.network.internet == "nat"

  zones = local.create ? slice(
    sort(data.aws_availability_zones.available[0].names), 0,
    min(var.network.availability_zones, length(data.aws_availability_zones.available[0].names)),
  ) : []

  vpc_id   = local.create ? aws_vpc.this[0].id : data.aws_vpc.existing[0].id
  vpc_cidr = local.create ? aws_vpc.this[0].cidr_block : data.aws_vpc.existing[0].cidr_block

  subnet_ids      = local.create ? [for zone in local.zones : aws_subnet.this[zone].id] : local.existing_subnet_ids
  route_table_ids = local.create ? [aws_route_table.this[0].id] : local.existing_route_table_ids
}

data "aws_region" "current" {}

data "aws_partition" "current" {}

data "aws_availability_zones" "available" {
  count = var.network.mode == "existing" ? 0 : 1

  # Old zones that SageMaker and the current instance types are missing from.
  exclude_zone_ids = ["use1-az3", "usw1-az2", "cac1-az3"]

  # No local zones: they lack most services.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  count = local.create ? 1 : 0

  cidr_block = var.network.cidr
  # Interface endpoints' private names need both.
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.prefix }

  lifecycle {
    precondition {
      condition     = length(local.zones) == var.network.availability_zones
      error_message = "network.availability_zones must be at most the number of the region's zones, ${length(local.zones)}; got ${var.network.availability_zones}."
    }
  }
}

# AWS gives every VPC a default group that is open within itself and outwards; with no rules, a resource that was
# started without a group of its own reaches nothing.
resource "aws_default_security_group" "this" {
  count = local.create ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.prefix}-default-closed" }
}

resource "aws_subnet" "this" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.network.cidr, 4, each.value)
  map_public_ip_on_launch = var.network.internet == "public"

  tags = { Name = "${var.prefix}-${each.key}" }
}

resource "aws_route_table" "this" {
  count = local.create ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = var.prefix }
}

resource "aws_route_table_association" "this" {
  for_each = aws_subnet.this

  subnet_id      = each.value.id
  route_table_id = aws_route_table.this[0].id
}
