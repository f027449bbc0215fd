"""What quotas need: peaks of their use, and the smallest limits that let everything happen that should."""
