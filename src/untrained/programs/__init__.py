"""Programs: expressions over what a network gives, which are scores. Parsed, never executed as code."""
