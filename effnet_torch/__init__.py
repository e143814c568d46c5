"""EfficientNet in PyTorch."""

from effnet_torch.averages import MovingAverages
from effnet_torch.blocks import CondMBConvBlock, FusedMBConvBlock, MBConvBlock
from effnet_torch.errors import UnavailableDevice, UnknownDtype
from effnet_torch.layers import PaddedConv2d
from effnet_torch.losses import cross_entropy, weight_decay
from effnet_torch.masks import Masks
from effnet_torch.model import EfficientNet, create_model
from effnet_torch.norms import RunningVariance
from effnet_torch.optimizers import TfRMSprop, create_optimizer, create_schedule
from effnet_torch.trainer import StepResult, Trainer
from effnet_torch.weights import load_state, read_state

__all__ = [
    "CondMBConvBlock",
    "EfficientNet",
    "FusedMBConvBlock",
    "MBConvBlock",
    "Masks",
    "MovingAverages",
    "PaddedConv2d",
    "RunningVariance",
    "StepResult",
    "TfRMSprop",
    "Trainer",
    "UnavailableDevice",
    "UnknownDtype",
    "create_model",
    "create_optimizer",
    "create_schedule",
    "cross_entropy",
    "load_state",
    "read_state",
    "weight_decay",
]
