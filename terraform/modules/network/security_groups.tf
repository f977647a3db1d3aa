# No ingress rule here names an address range outside the VPC, and none can be passed in.

data "aws_ec2_managed_prefix_list" "s3" {
  name = "${local.service_prefix}.s3"
}

resource "aws_security_group" "workload" {
  name        = "${var.prefix}-workload"
  description = "Jobs, instances and notebooks: nothing in but from each other"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.prefix}-workload" }
}

# The instances of one training job talk to each other on ports that they choose themselves.
resource "aws_vpc_security_group_ingress_rule" "workload_self" {
  security_group_id            = aws_security_group.workload.id
  description                  = "From instances of the same job"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.workload.id
}

resource "aws_vpc_security_group_egress_rule" "workload_self" {
  security_group_id            = aws_security_group.workload.id
  description                  = "To instances of the same job"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.workload.id
}

resource "aws_vpc_security_group_egress_rule" "workload_vpc" {
  security_group_id = aws_security_group.workload.id
  description       = "To interface endpoints in the VPC"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = local.vpc_cidr
}

resource "aws_vpc_security_group_egress_rule" "workload_s3" {
  security_group_id = aws_security_group.workload.id
  description       = "To S3 through its gateway endpoint"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = data.aws_ec2_managed_prefix_list.s3.id
}

resource "aws_vpc_security_group_egress_rule" "workload_internet" {
  count = local.internet ? 1 : 0

  security_group_id = aws_security_group.workload.id
  description       = "To package registries and AWS over https"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "endpoints" {
  count = length(var.network.interface_endpoints) > 0 ? 1 : 0

  name        = "${var.prefix}-endpoints"
  description = "Interface endpoints: https from the VPC"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.prefix}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = length(var.network.interface_endpoints) > 0 ? 1 : 0

  security_group_id = aws_security_group.endpoints[0].id
  description       = "From the VPC"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = local.vpc_cidr
}
