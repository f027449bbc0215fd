"""The arithmetic of the built-in controllers under one name; each rule lives in the module of its controller."""

from models.rules.cron import CronSchedule, parse_cron
from models.rules.daemonset import daemon_limits, daemon_should_run, daemon_update_step
from models.rules.disruption import (
    BudgetStatus,
    DrainVerdict,
    budget_status,
    budgets_of,
    desired_healthy,
    disruptions_allowed,
    drain_verdict,
    eviction_refusal,
)
from models.rules.hpa import behavior_of, desired_replicas, limited, stabilised
from models.rules.jobs import (
    cron_decision,
    cron_runs,
    job_backoff_s,
    job_verdict,
    job_wanted,
    most_at_once,
    most_recent_schedule_time,
    schedule_of,
)
from models.rules.statefulset import Replica, StatefulSetRule, statefulset_rule, statefulset_steps

__all__ = [
    "BudgetStatus",
    "CronSchedule",
    "DrainVerdict",
    "Replica",
    "StatefulSetRule",
    "behavior_of",
    "budget_status",
    "budgets_of",
    "cron_decision",
    "cron_runs",
    "daemon_limits",
    "daemon_should_run",
    "daemon_update_step",
    "desired_healthy",
    "desired_replicas",
    "disruptions_allowed",
    "drain_verdict",
    "eviction_refusal",
    "job_backoff_s",
    "job_verdict",
    "job_wanted",
    "limited",
    "most_at_once",
    "most_recent_schedule_time",
    "parse_cron",
    "schedule_of",
    "stabilised",
    "statefulset_rule",
    "statefulset_steps",
]
