"""Models for 32 x 32 images: one file per paper, one function per named model.

Each function takes `num_classes` and returns a module from images (N, 3, 32, 32) to logits
(N, num_classes). A file in conf/model/ refers to it. Models of flowvision need no file here:
`model._target_=flowvision.models.resnet18`.
"""
