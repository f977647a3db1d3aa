output "vpc_id" {
  description = "The VPC: created, existing or default."
  value       = null
}

output "vpc_cidr" {
  description = "The VPC's address range."
  value       = null
}

output "subnet_ids" {
  description = "Subnets to run in, ordered; usable once routes and endpoints are there."
  value       = null
}

output "workload_security_group_id" {
  description = "The group for jobs, instances and notebooks: in from itself only; out to the VPC, to S3, and by https to the internet where there is a way out."
  value       = null
}

output "endpoint_security_group_id" {
  description = "The interface endpoints' group: https from the VPC; null without interface endpoints."
  value       = null
}

output "s3_endpoint_id" {
  description = "The S3 gateway endpoint; null where there is none of ours."
  value       = null
}

output "interface_endpoint_ids" {
  description = "Interface endpoints by service."
  value       = null
}

output "route_table_ids" {
  description = "Route tables of the subnets."
  value       = null
}

output "internet" {
  description = "Whether the subnets have a way out to the internet."
  value       = null
}

output "flow_log_group_name" {
  description = "The flow logs' log group; null where there are none of ours."
  value       = null
}
