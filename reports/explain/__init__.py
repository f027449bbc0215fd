"""What ``explain`` found out, as text for a person and as JSON for a program."""
