"""The configuration: one frozen, typed class for each section of `config/config.yaml`.

A stage receives only the sections that it needs, as JSON (`Settings.select`), so a change of another section does not rerun it.
Unknown keys, wrong types and impossible combinations raise `RadtError` with key, value and what is allowed.
"""
