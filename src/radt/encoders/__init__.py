"""Encoders of sub-trajectories, one per file; `Method.encoder` is the name of the file.

Three functions use the same network. They are separate so that an edit of `acting` makes no training out of date.

| function | caller | result |
|---|---|---|
| `vectors(source, episodes)` | the stage `embed` | keys and queries of all learning histories |
| `training_queries(source, episodes)` | `training` of a method | a function for the queries of scope `window` |
| `acting(source, history)` | `agent` of a method | a function for the keys of a memory, and a `QueryEncoder` |

The last value of each is the identity of the encoder: a text that changes when the vectors change.
"""
