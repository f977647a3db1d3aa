output "vpc_id" {
  description = "The VPC: created, existing or default."
  value       = local.vpc_id
}

output "vpc_cidr" {
  description = "The VPC's address range."
  value       = local.vpc_cidr
}

output "subnet_ids" {
  description = "Subnets to run in, ordered; usable once routes and endpoints are there."
  value       = local.subnet_ids

  # Without it an instance may boot, or a job start, before its subnet can reach S3 or the internet.
  depends_on = [
    aws_route.internet,
    aws_route_table_association.this,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
  ]
}

output "workload_security_group_id" {
  description = "The group for jobs, instances and notebooks: in from itself only; out to the VPC, to S3, and by https to the internet where there is a way out."
  value       = aws_security_group.workload.id

  # Without them whoever gets the group starts in one that lets nothing out.
  depends_on = [
    aws_vpc_security_group_egress_rule.workload_internet,
    aws_vpc_security_group_egress_rule.workload_s3,
    aws_vpc_security_group_egress_rule.workload_self,
    aws_vpc_security_group_egress_rule.workload_vpc,
    aws_vpc_security_group_ingress_rule.workload_self,
  ]
}

output "endpoint_security_group_id" {
  description = "The interface endpoints' group: https from the VPC; null without interface endpoints."
  value       = one(aws_security_group.endpoints[*].id)
}

output "s3_endpoint_id" {
  description = "The S3 gateway endpoint; null where there is none of ours."
  value       = one(aws_vpc_endpoint.s3[*].id)
}

output "interface_endpoint_ids" {
  description = "Interface endpoints by service."
  value       = { for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.id }
}

output "route_table_ids" {
  description = "Route tables of the subnets."
  value       = local.route_table_ids
}

output "internet" {
  description = "Whether the subnets have a way out to the internet."
  value       = local.internet
}

output "flow_log_group_name" {
  description = "The flow logs' log group; null where there are none of ours."
  value       = one(aws_cloudwatch_log_group.flow_logs[*].name)
}

output "package_repositories" {
  description = "Whether Amazon Linux's package repositories can be reached; true where the VPC's ways to S3 are not ours to know."
  value       = local.internet || var.network.amazon_linux_repositories || !local.create && !local.s3_endpoint
}

output "session_manager" {
  description = "Whether Session Manager can be reached; true where the VPC's endpoints are not ours to know."
  value       = local.internet || !local.create || length(setsubtract(["ssm", "ssmmessages"], var.network.interface_endpoints)) == 0
}
