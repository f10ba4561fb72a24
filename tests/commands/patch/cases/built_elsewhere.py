# nothing: builds no train_op
# Functions of the program's own modules that are named like those of slim: their files are the ones to patch.
import tensorflow as tf

import optimizers
from train_utils import create_train_op

step = create_train_op(loss)
other = optimizers.minimize(loss)
