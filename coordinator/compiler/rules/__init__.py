"""The gradient of each operator, in operators: one family per file, all of them in one table."""
