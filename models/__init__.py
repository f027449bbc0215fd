"""What is written down: manifests, objects, graph, hardware, scenario schema, and Kubernetes' pure rules.

Nothing in this package has a clock or a random stream; it never imports ``sim`` or ``reports``.
"""
