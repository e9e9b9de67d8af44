"""What the cards of agents and of learning histories share: filling a template, and the citation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

PAPER = "*Retrieval-Augmented Decision Transformer: External Memory for In-context RL* (arXiv 2410.07071)"
CITATION = """\
@article{schmied2024retrieval,
  title   = {Retrieval-Augmented Decision Transformer: External Memory for In-context RL},
  author  = {Schmied, Thomas and Paischer, Fabian and Patil, Vihang and Hofmarcher, Markus and Pascanu, Razvan
             and Hochreiter, Sepp},
  journal = {arXiv preprint arXiv:2410.07071},
  year    = {2024}
}"""


def rendered(template: str, sections: Mapping[str, Mapping[str, Any]], told: Mapping[str, Any]) -> str:
    """Markdown of a Jinja template: `sections` become YAML, other values stay as they are. A name without value is an error."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    texts = {name: yaml.safe_dump(dict(values), sort_keys=True) for name, values in sections.items()}
    return environment.from_string(template).render({"paper": PAPER, "citation": CITATION, **told, **texts})
