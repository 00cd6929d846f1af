"""Nets for 32 x 32 images: one file per paper, one function per named net.

Each function takes `num_classes` and returns a module from images (N, 3, 32, 32) to logits
(N, num_classes). Its file in conf/model/ names it. Nets of flowvision need no file here:
`model._target_=flowvision.models.resnet18`.
"""
