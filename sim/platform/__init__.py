"""The platform over time: nodes, pods, controllers, storage, databases, addresses, faults and operations on SimPy.

State changes happen at events only; nothing polls a clock. All times are seconds, 0 at the end of the warm-up.
"""
