# Horovod, or SyncReplicas, with a MonitoredTrainingSession behind the update.
import horovod.tensorflow as hvd
import tensorflow as tf
import tf1_wd

hvd.init()
opt = tf.train.AdamOptimizer(1e-3 * hvd.size())
opt = hvd.DistributedOptimizer(opt)
global_step = tf.train.get_or_create_global_step()
with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
    train_op = opt.minimize(loss, global_step=global_step)
hooks = [hvd.BroadcastGlobalVariablesHook(0)]
with tf.train.MonitoredTrainingSession(hooks=hooks) as mon_sess:
    while not mon_sess.should_stop():
        mon_sess.run(train_op)
