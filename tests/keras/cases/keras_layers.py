"""A model of many kinds of layers, for keras_models.py, which names the Keras."""

from __future__ import annotations


def every_layer(K):
    """A model with nested models, shared and frozen layers, wrappers, cells and a layer of the program's own."""

    class Own(K.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(name="w", shape=(int(shape[-1]),), initializer="ones")
            self.inner = K.layers.Dense(3, name="of_own")
            self.inner.build(shape)
            self.built = True

        def call(self, x):
            return self.inner(x * self.w)

    class Derived(K.layers.Dense):
        pass

    image, words = K.Input((4, 4, 2)), K.Input((6,), dtype="int32")
    inner = K.Input((4, 4, 2))
    x = K.layers.Conv2D(3, 1, name="conv")(inner)
    x = K.layers.DepthwiseConv2D(1, name="depthwise")(x)
    x = K.layers.SeparableConv2D(2, 1, name="separable")(x)
    nested = K.Model(inner, K.layers.BatchNormalization(name="norm")(x), name="nested")
    x = K.layers.Conv2DTranspose(3, 1, name="transpose")(nested(image))
    x = K.layers.GlobalAveragePooling2D()(x)
    shared = Derived(3, name="shared")
    x = shared(shared(x))
    x = K.layers.Dense(3, name="frozen", trainable=False)(x)
    x = Own(name="own")(x)
    y = K.layers.Embedding(7, 4, name="table")(words)
    y = K.layers.TimeDistributed(K.layers.Dense(5), name="time")(y)
    y = K.layers.Bidirectional(K.layers.LSTM(2, return_sequences=True), name="both")(y)
    y = K.layers.RNN([K.layers.GRUCell(3), K.layers.SimpleRNNCell(2)], name="rnn")(y)
    y = K.layers.LayerNormalization(name="layer_norm")(K.layers.PReLU(name="slopes")(y))
    return K.Model([image, words], K.layers.Concatenate()([x, y]))
