"""The report on a change: two sides of a repository, read, compared, and told as comment, page, text and data."""
