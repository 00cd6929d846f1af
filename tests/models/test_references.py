"""The number of parameters of each model, as counted in the references.

The counts are those of the references' code, built for 10 or for 100 classes (where it knows one of
the two only, the other follows from the last layer). tests/models/test_yaml.py builds the models.
"""

from models.convmixer import convmixer_256_8
from models.resnet import resnet20

# (10 classes, 100 classes), and whose code was counted
SIZES = {
    "convnet_tiny": (51_114, 419_844),
    # ResNets: summed by hand, layer by layer
    "resnet20": (269_722, 275_572),  # the paper's table 6: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M
    "resnet32": (464_154, 470_004),
    "resnet44": (658_586, 664_436),
    "resnet56": (853_018, 858_868),
    "resnet110": (1_727_962, 1_733_812),
    "resnet18": (11_173_962, 11_220_132),
    "resnet34": (21_282_122, 21_328_292),
    "resnet50": (23_520_842, 23_705_252),
    "preact_resnet18": (11_172_170, 11_218_340),  # locuslab/robust_overfitting
    "preact_resnet110": (1_730_522, 1_736_372),  # bearpaw, basic blocks
    "preact_resnet164": (1_703_258, 1_726_388),  # bearpaw; timgaripov/swa
    "wrn_28_10": (36_479_194, 36_536_884),  # xternalz, bearpaw; paper: 36.5M
    "wrn_16_8": (10_961_370, 11_007_540),  # xternalz, bearpaw; paper: 11.0M
    "wrn_40_4": (8_949_210, 8_972_340),  # xternalz, bearpaw; paper: 8.9M
    "vgg11_bn": (9_756_426, 9_802_596),  # chenyaofo
    "vgg13_bn": (9_941_322, 9_987_492),  # chenyaofo
    "vgg16_bn": (15_253_578, 15_299_748),  # chenyaofo; timgaripov/swa
    "vgg16": (15_245_130, 15_291_300),  # timgaripov/swa
    "vgg19_bn": (20_565_834, 20_612_004),  # chenyaofo
    "densenet_bc_100_12": (769_162, 800_032),  # andreasveit, bearpaw; paper: 0.8M
    "densenet_bc_190_40": (25_624_430, 25_821_620),  # andreasveit; paper: 25.6M
    "densenet_bc_121_12": (1_000_618, 1_035_268),  # kuangliu's densenet_cifar
    "mobilenet_v2": (2_236_682, 2_351_972),  # chenyaofo
    "shufflenet_v2_x0_5": (352_042, 444_292),  # chenyaofo
    "shufflenet_v2_x1_0": (1_263_854, 1_356_104),  # chenyaofo
    # ImageNet's 11,778,592 (timm) and 28,088,024 (flowvision), less 7,680 of the stem and less the
    # rows of 990 or 900 classes of 513 or 2,049 numbers
    "se_resnet18": (11_263_042, 11_309_212),
    "se_resnet50": (26_051_834, 26_236_244),
    "resnext29_8x64d": (34_426_698, 34_518_948),  # bearpaw; paper: 34.4M
    "resnext29_16x64d": (68_155_210, 68_247_460),  # bearpaw; paper: 68.1M
    "googlenet": (6_310_314, 6_402_564),  # weiaicunzai
    "resnet9": (6_573_120, 6_619_200),  # davidcpage/cifar10-fast
    "convmixer_256_8": (594_186, 617_316),  # locuslab/convmixer
    "vit_lite_7_4": (3_716_874, 3_740_004),  # SHI-Labs/Compact-Transformers
}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_papers_other_settings_have_their_sizes():
    # option B: two 1 x 1 convolutions and their norms, 16 to 32 and 32 to 64 channels
    extra = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert count(resnet20(100, shortcut="B")) == SIZES["resnet20"][1] + extra
    assert count(convmixer_256_8(10, kernel_size=9, patch_size=1)) == 706_570  # the paper: 0.7M
