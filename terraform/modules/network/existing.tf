locals {
  existing_subnet_ids = local.create ? [] : sort(
    var.network.mode == "default" ? data.aws_subnets.default[0].ids : [for subnet in data.aws_subnet.existing : subnet.id]
  )

  explicit_route_tables = [for tables in data.aws_route_tables.of_subnet : tables.ids]

  # A subnet without an association of its own uses the VPC's main route table.
  existing_route_table_ids = sort(distinct(concat(
    flatten(local.explicit_route_tables),
    anytrue([for ids in local.explicit_route_tables : length(ids) == 0]) ? [data.aws_vpc.existing[0].main_route_table_id] : [],
  )))
}

data "aws_vpc" "existing" {
  count = local.create ? 0 : 1

  id      = var.network.vpc_id
  default = var.network.mode == "default" ? true : null
}

data "aws_subnets" "default" {
  count = var.network.mode == "default" ? 1 : 0

  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.existing[0].id]
  }

  filter {
    name   = "default-for-az"
    values = ["true"]
  }

  filter {
    name   = "availability-zone"
    values = data.aws_availability_zones.available[0].names
  }

  lifecycle {
    postcondition {
      condition     = length(self.ids) > 0
      error_message = "network.mode default needs a default VPC that still has its default subnets, in a zone with the services; this one has none. Name subnets with mode existing."
    }
  }
}

data "aws_subnet" "existing" {
  for_each = var.network.subnet_ids

  id = each.key

  lifecycle {
    postcondition {
      condition     = self.vpc_id == var.network.vpc_id
      error_message = "network.subnet_ids must be subnets of network.vpc_id, ${var.network.vpc_id}; ${self.id} belongs to ${self.vpc_id}."
    }
  }
}

data "aws_route_tables" "of_subnet" {
  for_each = toset(local.existing_subnet_ids)

  filter {
    name   = "association.subnet-id"
    values = [each.key]
  }
}
