"""The sections of all stages together."""

from __future__ import annotations

from radt.settings.base import Section
from radt.settings.evaluation import Evaluate
from radt.settings.figures import Figure
from radt.settings.models import TrainAd, TrainDpt, Training, TrainRetrieval
from radt.settings.registry import TRAINED
from radt.settings.retrieval import Embed, Index, Language
from radt.settings.sources import Features, Trajectories


class Stages(Section):
    """The sections of the stages."""

    features: Features
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

    __annotations__.update({method.stage: method.section for method in TRAINED.values() if method.section})
