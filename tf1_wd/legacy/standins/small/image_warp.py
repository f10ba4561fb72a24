"""Warped images, as in tf.contrib.image."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def dense_image_warp(image, flow, name="dense_image_warp"):
    """[batch, height, width, channels]: output[b, j, i] = image[b, j - flow[b, j, i, 0], i - flow[b, j, i, 1]].

    flow: [batch, height, width, 2]. Between pixels bilinear; from outside, the nearest inside the border.
    """
    with tf.name_scope(name):
        image, flow = tf.convert_to_tensor(image), tf.convert_to_tensor(flow)
        batch, height, width, channels = tf.unstack(tf.shape(image))
        rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
        points = tf.cast(tf.stack([rows, columns], axis=2), flow.dtype)[None] - flow
        sizes = tf.cast(tf.stack([height, width]), flow.dtype)
        corner = tf.minimum(tf.maximum(tf.floor(points), 0.0), sizes - 2)
        part = tf.cast(tf.minimum(tf.maximum(points - corner, 0.0), 1.0), image.dtype)
        corner = tf.cast(corner, tf.int32)

        def pixels(down, right):
            places = (corner[..., 0] + down) * width + corner[..., 1] + right
            flat = tf.reshape(image, [batch, height * width, channels])
            found = tf.gather(flat, tf.reshape(places, [batch, -1]), batch_dims=1)
            return tf.reshape(found, [batch, height, width, channels])

        down, right = part[..., 0:1], part[..., 1:2]
        top = pixels(0, 0) + right * (pixels(0, 1) - pixels(0, 0))
        bottom = pixels(1, 0) + right * (pixels(1, 1) - pixels(1, 0))
        output = top + down * (bottom - top)
        output.set_shape(image.shape)
        return output
