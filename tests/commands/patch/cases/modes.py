# if / elif without else may build nothing: a scope in each branch. The gradient penalty stays outside.
import tensorflow as tf

MODE = 'wgan-gp'

if MODE == 'wgan':
    gen_train_op = tf.train.RMSPropOptimizer(
        learning_rate=5e-5
    ).minimize(gen_cost, var_list=gen_params)
    disc_train_op = tf.train.RMSPropOptimizer(
        learning_rate=5e-5
    ).minimize(disc_cost, var_list=disc_params)

elif MODE == 'wgan-gp':
    interpolates = real_data + alpha * differences
    gradients = tf.gradients(Discriminator(interpolates), [interpolates])[0]
    slopes = tf.sqrt(tf.reduce_sum(tf.square(gradients), reduction_indices=[1]))
    disc_cost += LAMBDA * tf.reduce_mean((slopes - 1.) ** 2)
    disc_grads = optimizer.compute_gradients(disc_cost, disc_params)
    disc_train_op = optimizer.apply_gradients(disc_grads)
