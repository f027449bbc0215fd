"""YAML as the Kubernetes tools read it: scalars, hostile input, line numbers."""
