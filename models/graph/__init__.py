"""The evidence graph of a platform: what depends on what, why we think so, and what follows from it."""
