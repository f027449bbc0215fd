"""Whether rollouts can finish under the quotas and on the nodes, whatever the order of events."""
