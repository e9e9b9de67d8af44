"""The configuration: one frozen, typed class for each section of `config/config.yaml`.

A stage receives those that it needs as JSON (`Settings.select`), so that a change of another section reruns nothing. Unknown
keys, wrong types and impossible combinations raise `RadtError` naming key, value and what is allowed.
"""
