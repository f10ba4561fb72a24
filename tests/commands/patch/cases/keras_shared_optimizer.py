# refused: compiled with one optimizer
import keras

optimizer = keras.optimizers.Adam(1e-3)
first.compile(optimizer, loss="mse")
second.compile(optimizer=optimizer, loss="mse")
