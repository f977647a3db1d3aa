# Nothing here by default: many accounts allow neither internet gateways nor NAT gateways nor Elastic IPs.

resource "aws_internet_gateway" "this" {
  count = local.gateway ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = var.prefix }
}

resource "aws_route" "internet" {
  count = local.gateway ? 1 : 0

  route_table_id         = aws_route_table.this[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = local.nat ? null : aws_internet_gateway.this[0].id
  nat_gateway_id         = local.nat ? aws_nat_gateway.this[0].id : null
}

# One NAT gateway for all zones: what runs here are jobs that can be started again, and each gateway costs by the hour.
resource "aws_subnet" "nat" {
  count = local.nat ? 1 : 0

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[0]
  cidr_block        = cidrsubnet(var.network.cidr, 4, 15)

  tags = { Name = "${var.prefix}-nat" }
}

resource "aws_route_table" "nat" {
  count = local.nat ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.prefix}-nat" }
}

resource "aws_route" "nat" {
  count = local.nat ? 1 : 0

  route_table_id         = aws_route_table.nat[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "nat" {
  count = local.nat ? 1 : 0

  subnet_id      = aws_subnet.nat[0].id
  route_table_id = aws_route_table.nat[0].id
}

resource "aws_eip" "nat" {
  count = local.nat ? 1 : 0

  domain = "vpc"
  tags   = { Name = "${var.prefix}-nat" }
}

resource "aws_nat_gateway" "this" {
  count = local.nat ? 1 : 0

  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.nat[0].id
  tags          = { Name = var.prefix }

  # Without it the gateway may be made before its subnet has a way out, and then ends as failed.
  depends_on = [aws_route.nat, aws_route_table_association.nat]
}
