variable "endpoint" {
  description = "The endpoint and its variant, as the endpoint module gives them: scaling needs them in service."
  type = object({
    name    = string
    variant = string
  })
  nullable = false

  validation {
    condition     = alltrue([for name in [var.endpoint.name, var.endpoint.variant] : can(regex("^[a-zA-Z0-9](-?[a-zA-Z0-9]){0,62}$", name))])
    error_message = "endpoint.name and .variant must be 1 to 63 letters, digits and single hyphens; got \"${var.endpoint.name}\" and \"${var.endpoint.variant}\"."
  }
}

variable "instance_type" {
  description = "The machines' type. With another, the variant is registered anew: SageMaker refuses another type for one that is registered, so that it must be deregistered before the endpoint is updated, as `apply` does."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^ml\\.[a-z0-9-]+\\.[a-z0-9]+$", var.instance_type))
    error_message = "instance_type must be a SageMaker instance type, such as ml.m5.large; got \"${var.instance_type}\"."
  }
}

variable "autoscaling" {
  description = <<-EOT
    How the instance count moves.
    - min_instances, max_instances: the range that it moves in.
    - policy: target-tracking, which holds metric at target, or step, on alarms of our own.
    - metric, target: what is held at which value, per instance. SageMakerVariantInvocationsPerInstance counts requests a
      minute; SageMakerVariantConcurrentRequestsPerModelHighResolution counts requests in flight and is measured
      every 10 seconds, so that it scales out sooner.
    - scale_in_cooldown_seconds, scale_out_cooldown_seconds: the pause after one scaling before the next.
    - disable_scale_in: only ever scale out; of target-tracking.
    - step: of step. scale_out adds instances while metric has been above threshold for so many periods in a row (a minute
      each, or ten seconds of the high-resolution metric): of its steps, in rising order, the last one whose `above`, counted
      from the threshold, is passed. scale_in removes some while metric is below its threshold, or missing; null: never.
    - scheduled: changes of the range by the clock, by name: schedule is cron(…), rate(…) or at(…) as Application Auto Scaling
      has them, in the timezone; min_instances, max_instances: the new range, at least one of them. A range stays until
      the next action: one action opens the day, another closes it.
  EOT
  type = object({
    min_instances              = optional(number, 1)
    max_instances              = optional(number, 4)
    policy                     = optional(string, "target-tracking")
    metric                     = optional(string, "SageMakerVariantInvocationsPerInstance")
    target                     = optional(number, 100)
    scale_in_cooldown_seconds  = optional(number, 10)
    scale_out_cooldown_seconds = optional(number, 10)
    disable_scale_in           = optional(bool, false)
    step = optional(object({
      scale_out = object({
        threshold = number
        periods   = optional(number, 3)
        steps     = optional(list(object({ above = number, add = number })), [{ above = 0, add = 1 }])
      })
      scale_in = optional(object({
        threshold = number
        periods   = optional(number, 15)
        remove    = optional(number, 1)
      }))
    }))
    scheduled = optional(map(object({
      schedule      = string
      timezone      = optional(string, "UTC")
      min_instances = optional(number)
      max_instances = optional(number)
    })), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.autoscaling.min_instances >= 1 && floor(var.autoscaling.min_instances) == var.autoscaling.min_instances
    error_message = "autoscaling.min_instances must be a whole number from 1 (zero needs autoscaling.scale_to_zero); got ${var.autoscaling.min_instances}."
  }

  validation {
    condition     = var.autoscaling.max_instances >= var.autoscaling.min_instances && floor(var.autoscaling.max_instances) == var.autoscaling.max_instances
    error_message = "autoscaling.max_instances must be a whole number from autoscaling.min_instances (${var.autoscaling.min_instances}); got ${var.autoscaling.max_instances}."
  }

  validation {
    condition     = contains(["SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution"], var.autoscaling.metric)
    error_message = "autoscaling.metric must be SageMakerVariantInvocationsPerInstance or SageMakerVariantConcurrentRequestsPerModelHighResolution; got \"${var.autoscaling.metric}\"."
  }

  validation {
    condition     = var.autoscaling.target > 0
    error_message = "autoscaling.target must be above 0; got ${var.autoscaling.target}."
  }

  validation {
    condition     = var.autoscaling.scale_in_cooldown_seconds >= 0 && var.autoscaling.scale_in_cooldown_seconds <= 3600 && floor(var.autoscaling.scale_in_cooldown_seconds) == var.autoscaling.scale_in_cooldown_seconds
    error_message = "autoscaling.scale_in_cooldown_seconds must be a whole number from 0 to 3600; got ${var.autoscaling.scale_in_cooldown_seconds}."
  }

  validation {
    condition     = var.autoscaling.scale_out_cooldown_seconds >= 0 && var.autoscaling.scale_out_cooldown_seconds <= 3600 && floor(var.autoscaling.scale_out_cooldown_seconds) == var.autoscaling.scale_out_cooldown_seconds
    error_message = "autoscaling.scale_out_cooldown_seconds must be a whole number from 0 to 3600; got ${var.autoscaling.scale_out_cooldown_seconds}."
  }

  validation {
    condition     = contains(["target-tracking", "step"], var.autoscaling.policy)
    error_message = "autoscaling.policy must be target-tracking or step; got \"${var.autoscaling.policy}\"."
  }

  validation {
    condition     = (var.autoscaling.policy == "step") == (var.autoscaling.step != null)
    error_message = "autoscaling.step must be given with policy = \"step\", and with no other; got policy \"${var.autoscaling.policy}\" and step ${jsonencode(var.autoscaling.step)}."
  }

  validation {
    condition     = var.autoscaling.policy == "step" ? !var.autoscaling.disable_scale_in : true
    error_message = "autoscaling.disable_scale_in must be false with policy = \"step\": leave out step.scale_in instead."
  }

  validation {
    condition = alltrue([for rule in [try(var.autoscaling.step.scale_out, null), try(var.autoscaling.step.scale_in, null)] :
      rule == null ? true : rule.threshold > 0 && rule.periods >= 1 && rule.periods <= 100 && floor(rule.periods) == rule.periods
    ])
    error_message = "autoscaling.step.scale_out and .scale_in must have a threshold above 0 and periods from 1 to 100; got ${jsonencode(var.autoscaling.step)}."
  }

  validation {
    condition     = try(var.autoscaling.step.scale_in.threshold < var.autoscaling.step.scale_out.threshold, true)
    error_message = "autoscaling.step.scale_in.threshold must be below scale_out.threshold, or it would scale in and out at once; got ${jsonencode(var.autoscaling.step)}."
  }

  validation {
    condition     = try(var.autoscaling.step.scale_in.remove >= 1 && floor(var.autoscaling.step.scale_in.remove) == var.autoscaling.step.scale_in.remove, true)
    error_message = "autoscaling.step.scale_in.remove must be a whole number from 1; got ${jsonencode(try(var.autoscaling.step.scale_in.remove, null))}."
  }

  validation {
    condition = alltrue([for index, step in try(var.autoscaling.step.scale_out.steps, []) :
      step.add >= 1 && floor(step.add) == step.add && (index == 0 ? step.above == 0 : step.above > var.autoscaling.step.scale_out.steps[max(index - 1, 0)].above)
    ]) && try(length(var.autoscaling.step.scale_out.steps) >= 1 && length(var.autoscaling.step.scale_out.steps) <= 20, true)
    error_message = "autoscaling.step.scale_out.steps must be 1 to 20 steps that add whole numbers from 1, the first above 0, each above more than the one before; got ${jsonencode(try(var.autoscaling.step.scale_out.steps, null))}."
  }

  validation {
    condition     = alltrue([for name in keys(var.autoscaling.scheduled) : can(regex("^[a-zA-Z0-9][a-zA-Z0-9-]{0,62}$", name))])
    error_message = "autoscaling.scheduled must have names of 1 to 63 letters, digits and hyphens; got ${jsonencode(keys(var.autoscaling.scheduled))}."
  }

  validation {
    condition = alltrue([for action in values(var.autoscaling.scheduled) : can(regex(
      "^(cron\\([^ ()]+( [^ ()]+){5}\\)|rate\\([1-9][0-9]* (minute|hour|day)s?\\)|at\\(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\))$", action.schedule
    ))])
    error_message = "autoscaling.scheduled must have schedules such as cron(0 8 ? * MON-FRI *) with six fields, rate(12 hours) or at(2026-12-24T08:00:00); got ${jsonencode(values(var.autoscaling.scheduled)[*].schedule)}."
  }

  validation {
    condition     = alltrue([for action in values(var.autoscaling.scheduled) : can(regex("^[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}$", action.timezone))])
    error_message = "autoscaling.scheduled must have timezones such as UTC or Europe/Berlin; got ${jsonencode(values(var.autoscaling.scheduled)[*].timezone)}."
  }

  validation {
    condition = alltrue([for action in values(var.autoscaling.scheduled) : alltrue([
      action.min_instances != null || action.max_instances != null,
      alltrue([for limit in [action.min_instances, action.max_instances] : limit == null ? true : limit >= 1 && floor(limit) == limit]),
      action.min_instances == null || action.max_instances == null ? true : action.min_instances <= action.max_instances,
    ])])
    error_message = "autoscaling.scheduled must give min_instances, max_instances or both, whole numbers from 1, min_instances at most max_instances; got ${jsonencode(var.autoscaling.scheduled)}."
  }
}
