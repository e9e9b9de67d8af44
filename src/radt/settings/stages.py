"""The sections of all stages together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import create_model

from radt.settings.base import Section
from radt.settings.evaluation import Evaluate
from radt.settings.figures import Figure
from radt.settings.models import TrainAd, TrainDpt, Training, TrainRetrieval
from radt.settings.registry import TRAINED
from radt.settings.retrieval import Embed, Index, Language
from radt.settings.sources import Trajectories


class OwnStages(Section):
    """The sections of the stages."""

    trajectories: Trajectories
    pretrain: Training
    embed: Embed
    embed_language: Language
    index: Index
    train_retrieval: TrainRetrieval
    train_ad: TrainAd
    train_dpt: TrainDpt
    evaluate: Evaluate
    figure: Figure


if TYPE_CHECKING:
    Stages = OwnStages
else:
    OF_METHODS = {method.stage: (method.section, ...) for method in TRAINED.values() if method.section}
    Stages = create_model("Stages", __base__=OwnStages, __doc__=OwnStages.__doc__, **OF_METHODS)
