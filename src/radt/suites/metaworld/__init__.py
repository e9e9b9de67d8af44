"""Meta-World: 50 tasks of a robot arm, from the package metaworld (extra `metaworld`)."""
