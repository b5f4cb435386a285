"""Sequence models, which turn a video's sequence of features into class scores; one line each."""

from sequence_models.base import Model
from sequence_models.consensus import Consensus
from sequence_models.drnn import DRNN
from sequence_models.linear_svm import LinearSVM
from sequence_models.lstm import LSTM
from sequence_models.res_lstm import ResLSTM

MODELS: dict[str, type[Model]] = {
    model.model_fields["name"].default: model for model in (Consensus, DRNN, LinearSVM, LSTM, ResLSTM)
}
