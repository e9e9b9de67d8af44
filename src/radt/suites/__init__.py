"""The suites of tasks: an engine each, with its experiments and sources. Each is imported where it is used alone."""
