"""What turns sub-trajectories into vectors: one file per encoder, whose name `Method.encoder` has.

Keys and queries come from the same network, in three places, a function for each. So an edit of what acts trains nothing again.

| function | who calls it | what it gives |
|---|---|---|
| `vectors(source, episodes)` | the stage `embed` | keys and queries of all learning histories |
| `training_queries(source, episodes)` | `training` of a method | a function for the queries of scope `window` |
| `acting(source, history)` | `agent` of a method | a function for the keys of a memory, and what makes the queries |

Each gives the identity of the encoder as its last value: a text that changes when the vectors do.
"""
