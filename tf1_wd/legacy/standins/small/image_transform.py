"""Projective transforms of images, as in tf.contrib.image; the op is in TensorFlow still."""

from __future__ import annotations

import functools

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import image_ops


def _batched(images):
    """[batch, height, width, channels], and how to come back."""
    rank = images.shape.ndims
    if rank == 2:
        return images[None, :, :, None], lambda output: output[0, :, :, 0]
    if rank == 3:
        return images[None], lambda output: output[0]
    if rank == 4:
        return images, lambda output: output
    raise TypeError("Images should have rank between 2 and 4.")


def transform(images, transforms, interpolation="NEAREST", output_shape=None, name=None):
    """Images whose point (x, y) is the input's ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.

    images: [batch, height, width, channels], or fewer dimensions. transforms: [8] or [batch, 8], (a0, a1, a2, b0, b1,
    b2, c0, c1). Points from outside are 0.
    """
    with tf.name_scope(name, "transform"):
        images, back = _batched(tf.convert_to_tensor(images))
        transforms = tf.convert_to_tensor(transforms, dtype=tf.float32)
        if transforms.shape.ndims not in (1, 2):
            raise TypeError("Transforms should have rank 1 or 2.")
        shape = tf.shape(images)[1:3] if output_shape is None else output_shape
        static = tf.get_static_value(shape) if tf.is_tensor(shape) else shape
        output = tf.raw_ops.ImageProjectiveTransformV2(
            images=images,
            transforms=transforms[None] if transforms.shape.ndims == 1 else transforms,
            output_shape=shape if static is None else static,
            interpolation=interpolation.upper(),
        )
        return back(output)


def rotate(images, angles, interpolation="NEAREST", name=None):
    """Images turned counterclockwise about their centers. angles: radians, a scalar or [batch]."""
    with tf.name_scope(name, "rotate"):
        images, back = _batched(tf.convert_to_tensor(images))
        height, width = (tf.cast(tf.shape(images)[i], tf.float32)[None] for i in (1, 2))
        return back(transform(images, angles_to_projective_transforms(angles, height, width), interpolation))


def translate(images, translations, interpolation="NEAREST", name=None):
    """Images moved by (dx, dy): [2] or [batch, 2]."""
    with tf.name_scope(name, "translate"):
        return transform(images, translations_to_projective_transforms(translations), interpolation)


def angles_to_projective_transforms(angles, image_height, image_width, name=None):
    """[n, 8], the transforms that turn images by angles, a scalar or [n]."""
    with tf.name_scope(name, "angles_to_projective_transforms"):
        angles = tf.convert_to_tensor(angles, dtype=tf.float32)
        if angles.shape.ndims not in (0, 1):
            raise TypeError("Angles should have rank 0 or 1.")
        angles = tf.reshape(angles, [-1])
        sin, cos = tf.sin(angles), tf.cos(angles)
        right, bottom = image_width - 1, image_height - 1
        x_offset = (right - (cos * right - sin * bottom)) / 2.0
        y_offset = (bottom - (sin * right + cos * bottom)) / 2.0
        zeros = tf.zeros_like(angles)
        return tf.stack([cos, -sin, x_offset, sin, cos, y_offset, zeros, zeros], axis=1)


def translations_to_projective_transforms(translations, name=None):
    """[n, 8], the transforms that move images by (dx, dy), [2] or [n, 2]."""
    with tf.name_scope(name, "translations_to_projective_transforms"):
        translations = tf.convert_to_tensor(translations, dtype=tf.float32)
        if translations.shape.ndims not in (1, 2):
            raise TypeError("Translations should have rank 1 or 2.")
        dx, dy = tf.unstack(tf.reshape(translations, [-1, 2]), axis=1)
        one, zero = tf.ones_like(dx), tf.zeros_like(dx)
        return tf.stack([one, zero, -dx, zero, one, -dy, zero, zero], axis=1)


def compose_transforms(*transforms):
    """One transform for several, the last applied first."""
    assert transforms, "transforms cannot be empty"
    matrices = [image_ops.flat_transforms_to_matrices(t) for t in transforms]
    return image_ops.matrices_to_flat_transforms(functools.reduce(tf.matmul, matrices))
