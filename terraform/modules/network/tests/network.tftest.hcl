mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-west-1" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1c", "eu-west-1a", "eu-west-1b"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  mock_data "aws_vpc" {
    defaults = { id = "vpc-0123456789abcdef0", cidr_block = "172.31.0.0/16", main_route_table_id = "rtb-main" }
  }

  mock_data "aws_subnets" {
    defaults = { ids = ["subnet-0000000000000000b", "subnet-0000000000000000a"] }
  }

  mock_data "aws_subnet" {
    defaults = { id = "subnet-0000000000000000a", vpc_id = "vpc-0123456789abcdef0" }
  }

  mock_data "aws_route_tables" {
    defaults = { ids = [] }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/flow-logs" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/vpc/kennel-dev" }
  }
}

variables {
  prefix    = "kennel-dev"
  s3_access = { read_write = ["arn:aws:s3:::kennel-dev-artifacts"], read_only = ["arn:aws:s3:::photos"] }
}

run "a_vpc_of_our_own_needs_no_gateway_and_no_address" {
  command = apply

  assert {
    condition     = length(aws_internet_gateway.this) + length(aws_nat_gateway.this) + length(aws_eip.nat) + length(aws_route.internet) == 0
    error_message = "An internet gateway, a NAT gateway, an Elastic IP or a route to the internet was made without being asked for."
  }

  assert {
    condition     = !output.internet && !aws_subnet.this["eu-west-1a"].map_public_ip_on_launch
    error_message = "The subnets have a way out, or public addresses."
  }

  assert {
    condition     = [for zone in sort(keys(aws_subnet.this)) : aws_subnet.this[zone].cidr_block] == ["10.42.0.0/20", "10.42.16.0/20"]
    error_message = "The subnets are not the first two zones' sixteenths of the range."
  }

  assert {
    condition     = length(output.subnet_ids) == 2 && length(output.route_table_ids) == 1
    error_message = "Outputs do not name the two subnets and their route table."
  }
}

run "the_default_group_of_our_vpc_has_no_rules" {
  command = apply

  assert {
    condition     = length(aws_default_security_group.this[0].ingress) == 0 && length(aws_default_security_group.this[0].egress) == 0
    error_message = "The VPC's default security group has rules."
  }
}

run "without_a_way_out_nothing_leaves_for_the_world" {
  command = apply

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.workload_internet) == 0
    error_message = "The workloads' group lets traffic out to the internet."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.workload_vpc.cidr_ipv4 == aws_vpc.this[0].cidr_block
    error_message = "The workloads' group does not lead to the VPC."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.workload_s3.prefix_list_id == data.aws_ec2_managed_prefix_list.s3.id
    error_message = "The workloads' group does not lead to S3."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.workload_self.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.workload_self.referenced_security_group_id == aws_security_group.workload.id
    error_message = "The workloads' group lets in more than itself."
  }
}

run "the_s3_endpoint_lets_only_named_buckets_through" {
  command = apply

  assert {
    condition = flatten([for statement in data.aws_iam_policy_document.s3_endpoint[0].statement : statement.resources]) == [
      "arn:aws:s3:::kennel-dev-artifacts", "arn:aws:s3:::kennel-dev-artifacts/*",
      "arn:aws:s3:::photos", "arn:aws:s3:::photos/*",
    ]
    error_message = "The endpoint's policy reaches other resources than the two buckets."
  }

  assert {
    condition     = !anytrue([for action in data.aws_iam_policy_document.s3_endpoint[0].statement[1].actions : startswith(action, "s3:Put") || startswith(action, "s3:Delete")])
    error_message = "The endpoint lets data buckets be written to."
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.eu-west-1.s3"
    error_message = "The endpoint is not S3's gateway endpoint."
  }
}

run "package_repositories_and_image_layers_are_reached_by_choice" {
  command = apply

  variables {
    network = { amazon_linux_repositories = true, interface_endpoints = ["ecr.dkr"] }
  }

  assert {
    condition = slice(flatten([for statement in data.aws_iam_policy_document.s3_endpoint[0].statement : statement.resources]), 4, 6) == [
      "arn:aws:s3:::al2023-repos-eu-west-1-de612dc2/*", "arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*",
    ]
    error_message = "The endpoint's policy does not name the repositories' and the layers' bucket."
  }

  assert {
    condition     = output.package_repositories
    error_message = "The repositories are said to be out of reach."
  }
}

run "session_manager_is_reached_over_its_endpoints" {
  command = apply

  variables {
    network = { interface_endpoints = ["ssm", "ssmmessages"] }
  }

  assert {
    condition     = output.session_manager && toset(keys(output.interface_endpoint_ids)) == toset(["ssm", "ssmmessages"])
    error_message = "Session Manager is said to be out of reach, or an endpoint is missing."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == aws_vpc.this[0].cidr_block && aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443
    error_message = "The endpoints' group lets in more than https from the VPC."
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "An interface endpoint has no private name, so that SDKs go past it."
  }
}

run "session_manager_is_out_of_reach_without_endpoints" {
  command = apply

  assert {
    condition     = !output.session_manager && !output.package_repositories
    error_message = "Services are said to be in reach of a VPC with no way out and no endpoints."
  }
}

run "a_public_network_has_an_internet_gateway_only" {
  command = apply

  variables {
    network = { internet = "public" }
  }

  assert {
    condition     = length(aws_internet_gateway.this) == 1 && length(aws_nat_gateway.this) + length(aws_eip.nat) == 0
    error_message = "A public network needs an internet gateway, and nothing else."
  }

  assert {
    condition     = aws_route.internet[0].gateway_id == aws_internet_gateway.this[0].id && aws_subnet.this["eu-west-1a"].map_public_ip_on_launch
    error_message = "The subnets have no route out, or no public addresses."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.workload_internet[0].from_port == 443 && aws_vpc_security_group_egress_rule.workload_internet[0].to_port == 443
    error_message = "More than https gets out."
  }
}

run "nat_gives_private_subnets_a_way_out_through_one_address" {
  command = apply

  variables {
    network = { internet = "nat", availability_zones = 3 }
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_eip.nat) == 1 && length(aws_internet_gateway.this) == 1
    error_message = "There should be one NAT gateway, one Elastic IP and one internet gateway."
  }

  assert {
    condition     = aws_route.internet[0].nat_gateway_id == aws_nat_gateway.this[0].id && !aws_subnet.this["eu-west-1b"].map_public_ip_on_launch
    error_message = "The subnets do not go out through the NAT gateway, or are public."
  }
}

run "an_existing_vpc_is_left_as_it_is" {
  command = apply

  variables {
    network = { mode = "existing", vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0000000000000000a"] }
  }

  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.this) + length(aws_default_security_group.this) + length(aws_vpc_endpoint.s3) + length(aws_flow_log.this) == 0
    error_message = "Something was made or changed in a VPC that is not ours."
  }

  assert {
    condition     = output.vpc_id == "vpc-0123456789abcdef0" && output.subnet_ids == tolist(["subnet-0000000000000000a"])
    error_message = "The outputs do not name the existing VPC and subnet."
  }

  assert {
    condition     = output.session_manager && output.package_repositories
    error_message = "What is in reach of an existing VPC is not ours to deny."
  }
}

run "subnets_without_a_route_table_of_their_own_use_the_main_one" {
  command = apply

  variables {
    network = { mode = "existing", vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0000000000000000a"], s3_endpoint = true }
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].route_table_ids == toset(["rtb-main"])
    error_message = "The endpoint is not in the main route table."
  }
}

run "a_subnet_of_another_vpc_is_refused" {
  command = plan

  variables {
    network = { mode = "existing", vpc_id = "vpc-0fedcba9876543210", subnet_ids = ["subnet-0000000000000000a"] }
  }

  expect_failures = [data.aws_subnet.existing["subnet-0000000000000000a"]]
}

run "the_default_vpc_is_found_with_its_subnets" {
  command = apply

  variables {
    network = { mode = "default", internet = "existing" }
  }

  assert {
    condition     = data.aws_vpc.existing[0].default && output.subnet_ids == tolist(["subnet-0000000000000000a", "subnet-0000000000000000b"])
    error_message = "The default VPC or its subnets were not found."
  }

  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_vpc_security_group_egress_rule.workload_internet) == 1
    error_message = "The VPC's own way out is to be used as it is."
  }
}

run "a_default_vpc_without_subnets_is_refused" {
  command = plan

  variables {
    network = { mode = "default" }
  }

  override_data {
    target = data.aws_subnets.default
    values = { ids = [] }
  }

  expect_failures = [data.aws_subnets.default]
}

run "flow_logs_are_kept_for_the_days_chosen" {
  command = apply

  variables {
    network = { flow_log_retention_days = 90 }
  }

  assert {
    condition     = aws_cloudwatch_log_group.flow_logs[0].retention_in_days == 90 && aws_flow_log.this[0].traffic_type == "ALL"
    error_message = "Flow logs are not kept for 90 days, or not of all traffic."
  }
}

run "flow_logs_can_be_turned_off" {
  command = apply

  variables {
    network = { flow_logs = false }
  }

  assert {
    condition     = length(aws_flow_log.this) + length(aws_iam_role.flow_logs) + length(aws_cloudwatch_log_group.flow_logs) == 0 && output.flow_log_group_name == null
    error_message = "Something of the flow logs was made."
  }
}

run "more_zones_than_the_region_has_are_refused" {
  command = plan

  variables {
    network = { availability_zones = 4 }
  }

  expect_failures = [aws_vpc.this]
}

run "with_a_way_out_any_bucket_can_be_read_through_the_endpoint" {
  command = apply

  variables {
    network = { internet = "nat" }
  }

  assert {
    condition     = [for statement in data.aws_iam_policy_document.s3_endpoint[0].statement : statement.actions if contains(statement.resources, "*")] == [toset(["s3:GetObject"])]
    error_message = "Packages, image layers and foreign pictures go through the endpoint too, and must be readable, no more."
  }

  assert {
    condition     = output.package_repositories
    error_message = "The repositories are said to be out of reach."
  }
}

run "with_public_addresses_any_bucket_can_be_read_through_the_endpoint" {
  command = apply

  variables {
    network = { internet = "public" }
  }

  assert {
    condition     = [for statement in data.aws_iam_policy_document.s3_endpoint[0].statement : statement.actions if contains(statement.resources, "*")] == [toset(["s3:GetObject"])]
    error_message = "Packages, image layers and foreign pictures go through the endpoint too, and must be readable, no more."
  }

  assert {
    condition     = output.package_repositories
    error_message = "The repositories are said to be out of reach."
  }
}

run "an_s3_endpoint_of_ours_in_a_vpc_without_a_way_out_reaches_no_repositories" {
  command = apply

  variables {
    network = { mode = "existing", vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0000000000000000a"], s3_endpoint = true }
  }

  assert {
    condition     = !output.package_repositories
    error_message = "The endpoint hides the repositories, whatever the VPC reached before."
  }
}

run "the_flow_logs_role_is_bounded" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.flow_logs[0].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "An account that demands a boundary would refuse the role."
  }
}

run "zones_without_the_services_are_left_out" {
  command = plan

  assert {
    condition     = data.aws_availability_zones.available[0].exclude_zone_ids == toset(["use1-az3", "usw1-az2", "cac1-az3"])
    error_message = "A subnet may end up where neither SageMaker nor the instances are."
  }
}

run "default_subnets_in_zones_without_the_services_are_left_out" {
  command = plan

  variables {
    network = { mode = "default" }
  }

  assert {
    condition     = one([for filter in data.aws_subnets.default[0].filter : filter.values if filter.name == "availability-zone"]) == toset(["eu-west-1a", "eu-west-1b", "eu-west-1c"])
    error_message = "The default VPC's subnets must be of the zones that remain."
  }
}
