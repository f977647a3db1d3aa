output "rollback_alarm_names" {
  description = "The alarms that undo an endpoint update, once they exist."
  value       = toset([for name, alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name if contains(keys(local.rollback_alarms), name)])
}

output "alarm_names" {
  description = "All alarms, by what they watch."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.alarm_name }
}

output "topic_arn" {
  description = "The topic that alarms go to, once CloudWatch may publish to it; null without notifications."
  value       = one(aws_sns_topic.alarms[*].arn)
  depends_on  = [aws_sns_topic_policy.alarms] # without it alarms that go off at once are lost
}

output "dashboard_name" {
  description = "The dashboard; null without one."
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}
