"""A program of Keras 2, with its module paths and its own Adam."""

import numpy as np
from keras.engine.topology import Input
from keras.layers.core import Dense
from keras.models import Model
from keras.optimizers import Adam
from keras.regularizers import l2

inputs = Input(shape=(2,))
output = Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer=l2(0.15), name="fc")(inputs)
model = Model(inputs=inputs, outputs=output)
model.compile(optimizer=Adam(lr=0.1), loss="mse")
model.fit(np.zeros((4, 2)), np.zeros((4, 1)), batch_size=4, epochs=3, verbose=0)
weights = {"fc/kernel": model.get_weights()[0]}
