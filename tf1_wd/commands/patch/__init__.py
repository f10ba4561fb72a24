"""A codemod that wraps what builds a train_op in tf1_wd.decoupled_weight_decay. Needs libcst, not TensorFlow."""
