# A function that builds the whole model and returns it: compute and apply twice, the second after the first.
import collections

import tensorflow as tf
import tf1_wd

Model = collections.namedtuple("Model", "train, losses")


@tf1_wd.decoupled_weight_decay(convention="adamw", source="loss")
def create_model(inputs, targets):
    gen_loss, discrim_loss = losses(inputs, targets)
    with tf.name_scope("discriminator_train"):
        discrim_optim = tf.train.AdamOptimizer(a.lr, a.beta1)
        discrim_grads_and_vars = discrim_optim.compute_gradients(discrim_loss, var_list=discrim_tvars)
        discrim_train = discrim_optim.apply_gradients(discrim_grads_and_vars)

    with tf.name_scope("generator_train"):
        with tf.control_dependencies([discrim_train]):
            gen_optim = tf.train.AdamOptimizer(a.lr, a.beta1)
            gen_grads_and_vars = gen_optim.compute_gradients(gen_loss, var_list=gen_tvars)
            gen_train = gen_optim.apply_gradients(gen_grads_and_vars)

    ema = tf.train.ExponentialMovingAverage(decay=0.99)
    update_losses = ema.apply([discrim_loss, gen_loss])
    incr_global_step = tf.assign(global_step, global_step + 1)
    return Model(train=tf.group(update_losses, incr_global_step, gen_train), losses=ema)
