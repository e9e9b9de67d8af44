"""Meta-World: a robot's arm and 50 things to do with it, of the package metaworld (extra `metaworld`)."""
