locals {
  prefix = "${var.prefix}-${var.stage}"

  tags = merge(var.tags, {
    project        = var.prefix
    stage          = var.stage
    managed-by     = "terraform"
    "kennel:stage" = local.prefix # what the sweep after a destroy looks for
  })

  # Names, not attributes, where the one who asks must come before the one who is named: a role before its endpoint, an
  # alarm before the update that it may undo, a function before there is any model.
  endpoint_name = local.scale_to_zero ? "${local.prefix}-zero" : local.prefix # of the other kind, made while the one goes
  variant_name  = "primary"
  scale_to_zero = try(var.autoscaling.scale_to_zero, false)
  component     = local.scale_to_zero ? "${local.prefix}-classifier" : null
  function_name = "${local.prefix}-classify"
  alias_name    = "live"

  attachment = {
    subnet_ids         = module.network.subnet_ids
    security_group_ids = [module.network.workload_security_group_id]
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
