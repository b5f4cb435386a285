"""Data sets: their videos, with labels, and the protocols that divide them."""

from data.act import ACT
from data.base import Dataset
from data.fcvid import FCVID
from data.folder import Folder
from data.hmdb51 import HMDB51
from data.kth import KTH
from data.msr_action3d import MsrAction3D
from data.stick_figures.dataset import StickFigures
from data.ucf101 import UCF101

DATASETS: dict[str, type[Dataset]] = {
    kind.model_fields["name"].default: kind
    for kind in (StickFigures, KTH, MsrAction3D, UCF101, HMDB51, ACT, FCVID, Folder)
}
