"""The variables of well-known models, as shapes."""

from __future__ import annotations


def resnet50():
    """Shapes of the 161 trained variables of ResNet-50 (25.6 million weights)."""
    shapes, channels = [(7, 7, 3, 64), (64,), (64,)], 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            convolutions = [(1, 1, channels, width), (3, 3, width, width), (1, 1, width, 4 * width)]
            if block == 0:
                convolutions.append((1, 1, channels, 4 * width))
            for shape in convolutions:
                shapes += [shape, (shape[-1],), (shape[-1],)]
            channels = 4 * width
    return [*shapes, (2048, 1000), (1000,)]


def bert_base():
    """Shapes of the variables of BERT-base, uncased, without a head (109 million weights)."""
    layer = [(768, 768), (768,)] * 4 + [(768,)] * 2 + [(768, 3072), (3072,), (3072, 768), (768,)] + [(768,)] * 2
    return [(30522, 768), (2, 768), (512, 768), (768,), (768,), *(layer * 12), (768, 768), (768,)]


MODELS = {"resnet50": resnet50, "bert_base": bert_base}
