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
    return _bert(768, 12)


def bert_large():
    """Shapes of the variables of BERT-large, uncased, without a head (335 million weights)."""
    return _bert(1024, 24)


def _bert(hidden, layers):
    layer = [(hidden, hidden), (hidden,)] * 4 + [(hidden,)] * 2
    layer += [(hidden, 4 * hidden), (4 * hidden,), (4 * hidden, hidden), (hidden,)] + [(hidden,)] * 2
    return [
        (30522, hidden),
        (2, hidden),
        (512, hidden),
        (hidden,),
        (hidden,),
        *(layer * layers),
        (hidden, hidden),
        (hidden,),
    ]


MODELS = {"resnet50": resnet50, "bert_base": bert_base}
